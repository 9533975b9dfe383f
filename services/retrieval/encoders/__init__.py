"""Encoders: from texts to L2-normalised vectors, pluggable by name.

`base` says what an encoder is and finds it by its name, `published` lists those that are known, `recipe` says how a
folder's vectors are made, `transformer` runs a model and `wordllama` needs none. Imported by the
retrieval service only.
"""
