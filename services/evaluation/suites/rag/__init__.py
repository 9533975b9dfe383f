"""`rag`: public sets closed book and with retrieval, by index, k, rewriting, reranking and order, as a grid.

The registry imports `suite`. `plan.py` has the options and the requests, `options.py` multiple choice by
log-probability, `answers.py` generated answers, `curves.py` the plots.
"""
