"""`owners`: what each owner's data adds and what leaving it out costs. The registry imports `suite`.

`measure.py` says what a measure is; `perplexity.py`, `questions.py` and `membership.py` are three. A further one
(extraction) is a class beside them and an entry in `suite.MEASURES`: it then has its items, its matrix and its place
in the summary.
"""
