"""Step 6 of OLMoTrace: how much the surroundings of a match are about what the text is about, by BM25."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from services.tracing.index.segment import Segment
from services.tracing.search.arrays import Numbers
from services.tracing.search.scoring import bm25
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
        terms, repeats = np.unique(tokenizer.terms[np.concatenate((prompt, text))], return_counts=True)
        said = terms != 0  # term 0 is white space and punctuation
        terms, repeats = terms[said], repeats[said]
        slots = np.full(tokenizer.term_count, -1, dtype=np.int32)
        slots[terms] = np.arange(terms.size)
        self._slots = slots[tokenizer.terms]
        holding = np.zeros(terms.size, dtype=np.int64)
        for segment in segments:
            holding += segment.term_documents[terms]
        documents = sum(segment.documents for segment in segments)
        self._weights = (K1 + 1) * repeats * np.log1p((documents - holding + 0.5) / (holding + 0.5))
        usual = sum(segment.tokens_of_views(2 * VIEW) for segment in segments) / max(documents, 1)
        self._usual = usual or 1.0

    def scores(self, segment: Segment, bounds: Numbers) -> NDArray[np.float64]:
        """The scores, 0 or more, of the tokens [first, last) of a segment, for each row of `bounds` (stretches, 2)."""
        longest = int((bounds[:, 1] - bounds[:, 0]).max(initial=0))
        norms: NDArray[np.float64] = K1 * (1 - B + B * np.arange(longest + 1, dtype=np.float64) / self._usual)
        return bm25(segment.index.tokens, bounds, self._slots, self._weights, norms)


def level(score: float, characters: int) -> Level:
    """High, medium or low for a score to a query (prompt and text) of so many code points."""
    share = min(1.0, score / (SCALE * characters))
    return "high" if share >= HIGH else "medium" if share >= MEDIUM else "low"
