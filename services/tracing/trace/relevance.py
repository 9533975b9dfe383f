"""Step 6 of OLMoTrace: how much the surroundings of a match are about what the text is about, by BM25."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from services.tracing.index.segment import Segment
from services.tracing.tokenizer import Ids, Tokenizer

VIEW = 250
"""Tokens on either side of a match that count as its surroundings."""
K1, B = 1.5, 0.75
SCALE = 0.18
"""Score for each character of the query at which relevance is 1; this and the levels are OLMoTrace's.

OLMoTrace counts the characters of the response alone, though the query is prompt and response: under a short answer
to a long question every document would then be highly relevant.
"""
HIGH, MEDIUM = 0.7, 0.5

Level = Literal["high", "medium", "low"]


class Relevance:
    """BM25 (Robertson and Zaragoza 2009) of stretches of documents to one query over given segments.

    Terms are the tokenizer's tokens folded by case and leading space, so that no document need be decoded.
    Document frequencies are those of the segments searched, so that a score does not depend on what else was found.
    """

    def __init__(self, prompt: Ids, text: Ids, segments: Sequence[Segment], tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        terms, repeats = np.unique(tokenizer.terms[np.concatenate((prompt, text))], return_counts=True)
        said = terms != 0  # term 0 is white space and punctuation
        terms, repeats = terms[said], repeats[said]
        self._slots = np.full(tokenizer.term_count, terms.size, dtype=np.int64)
        self._slots[terms] = np.arange(terms.size)
        holding = np.zeros(terms.size, dtype=np.int64)
        for segment in segments:
            holding += segment.term_documents[terms]
        documents = sum(segment.documents for segment in segments)
        self._weights = repeats * np.log1p((documents - holding + 0.5) / (holding + 0.5))
        self._usual = sum(segment.tokens_of_views(2 * VIEW) for segment in segments) / max(documents, 1)

    def score(self, segment: Segment, start: int, end: int) -> float:
        """The score of the tokens [start, end) of a segment, 0 or more."""
        slots = self._slots[self._tokenizer.terms[segment.index.tokens[start:end]]]
        frequency = np.bincount(slots, minlength=self._weights.size + 1)[:-1]
        norm = K1 * (1 - B + B * (end - start) / self._usual)
        saturated: NDArray[np.float64] = frequency * (K1 + 1) / (frequency + norm)
        return float(self._weights @ saturated)


def level(score: float, characters: int) -> Level:
    """High, medium or low for a score to a query (prompt and text) of so many code points."""
    share = min(1.0, score / (SCALE * characters))
    return "high" if share >= HIGH else "medium" if share >= MEDIUM else "low"
