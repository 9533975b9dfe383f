"""From text to the words that BM25 counts."""

from __future__ import annotations

from collections.abc import Sequence

import bm25s


def words(texts: Sequence[str]) -> list[list[str]]:
    """The words of each text: lower case, two or more letters or digits, without English stop words (bm25s's rule)."""
    tokens: list[list[str]] = bm25s.tokenize(
        list(texts), stopwords="english", return_ids=False, show_progress=False, allow_empty=False
    )
    return tokens
