"""Tracing side by side with infini-gram 2.6.0: the same token ids and queries, one machine, one run.

`__main__` is the command, `same` a property check of the answers with `brute` force. `corpus` keeps the text that
`sources` has and its tokens, `responses` are what is asked, `rules` the peer's way to spans. `ours` and `peer` build
and open indexes (`indexes`, `built`), and are asked in processes of their own that take their own times (`protocol`):
in turn (`compare`), and after a start (`cold`). `growth` extrapolates, `plot` and `report` show.
"""
