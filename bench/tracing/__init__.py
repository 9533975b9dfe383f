"""Tracing side by side with infini-gram 2.6.0: the same token ids and queries, one machine, one run.

`__main__` is the command and `same` a property check of the answers. `corpus` makes the text and keeps it, `responses`
and `ngrams` are what is asked, `rules` is the peer's way to spans, `ours` and `peer` build and open indexes, each asked
in a process of its own (`protocol`) that takes its own times. `built` measures builds, `cold` empties the cache,
`compare` asks both in turn, `growth` extrapolates, `plot` draws.
"""
