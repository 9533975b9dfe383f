"""Encoders: from texts to L2-normalised vectors, pluggable by name.

`base` says what an encoder is, `transformer` runs the models that sentence-transformers publishes. Imported by the
retrieval service only.
"""
