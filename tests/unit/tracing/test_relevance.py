"""BM25 over folded tokens against its formula."""

import math
from collections import Counter

import numpy as np
import pytest

from services.tracing.tokenizer import Tokenizer
from services.tracing.trace.relevance import Relevance, level
from tests.unit.tracing.conftest import Build


def test_a_score_is_bm25_of_the_terms(build: Build, paragraphs: list[str], tokenizer: Tokenizer) -> None:
    texts = paragraphs[:30]
    (segment,) = build({"one": texts})
    prompt, text = "What does the import statement do?", "It finds a module, and the module is bound to a name."

    def terms(words: str) -> list[int]:
        return [term for term in tokenizer.terms[tokenizer.encode(words).ids].tolist() if term]

    query, documents = Counter(terms(prompt) + terms(text)), [terms(one) for one in texts]
    lengths = [len(tokenizer.encode(one).ids) for one in texts]
    usual = sum(min(length, 500) for length in lengths) / len(texts)
    relevance = Relevance(tokenizer.encode(prompt).ids, tokenizer.encode(text).ids, [segment], tokenizer)
    for number, document in enumerate(documents):
        expected = 0.0
        for term, repeats in query.items():
            holding = sum(term in other for other in documents)
            weight = math.log(1 + (len(texts) - holding + 0.5) / (holding + 0.5))
            norm = 1.5 * (0.25 + 0.75 * lengths[number] / usual)
            expected += repeats * weight * document.count(term) * 2.5 / (document.count(term) + norm)
        assert relevance.scores(segment, np.array([segment.bounds(number)]))[0] == pytest.approx(expected)


def test_levels_are_shares_of_what_a_query_of_that_length_can_score() -> None:
    assert [level(score, 100) for score in (18.0, 12.6, 12.5, 9.0, 8.9, 0.0)] == [
        "high",
        "high",
        "medium",
        "medium",
        "low",
        "low",
    ]
