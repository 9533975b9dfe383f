"""`owners`: what each owner's data adds and what leaving it out costs. The registry imports `suite`.

`measure.py` says what a measure is; `perplexity.py` and `questions.py` are two. A further one (extraction, membership)
is a class beside them and an entry in `suite.MEASURES`: it then has its items, its matrix and its place in the summary.
"""
