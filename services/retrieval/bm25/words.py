"""From text to the words that BM25 counts."""

from __future__ import annotations

from collections.abc import Sequence

import bm25s
from Stemmer import Stemmer

RULE = "bm25s's words without English stop words, Porter's stems"
"""Postings made by another rule do not fit the words of a query."""


def words(texts: Sequence[str]) -> list[list[str]]:
    """The words of each text: lower case, two or more letters or digits, without English stop words (bm25s's rule), cut
    to their stems (Porter 1980), so that a question in the singular finds a text in the plural."""
    tokens: list[list[str]] = bm25s.tokenize(
        list(texts),
        stopwords="english",
        stemmer=Stemmer("porter"),  # one a call: a stemmer is not for several threads
        return_ids=False,
        show_progress=False,
        allow_empty=False,
    )
    return tokens
