"""Retrieval side by side with its peers: the same vectors and queries, one machine, one run.

`__main__` is the command; `vectors` makes what is searched and keeps it, `measure` counts hits and time, `ours` and
`peers` are what is measured, `published_leann` runs the package `leann` in an environment of its own, and `plot` draws.
"""
