"""The stack's own language model in a search: it rewrites queries and judges passages.

`model` asks the model service with the experts of a request's owners, `rewriting` and `judging` say what for, and
`assisted` puts both around a search. Imported by the retrieval service only.
"""
