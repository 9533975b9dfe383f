"""What an encoder finds for questions whose documents it was not trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.retrieval.encoders.base import Encoder
from services.retrieval.training.pairs import Question
from services.retrieval.training.pool import Pool

_AT_ONCE = 256


@dataclass(frozen=True)
class Judged:
    """Queries by id, the grade of each relevant document by query and document, and the passages that are searched
    with the document of each."""

    queries: Mapping[str, str]
    judgements: Mapping[str, Mapping[str, int]]
    texts: Sequence[str]
    documents: Sequence[str]


def judged(pool: Pool, asked: Sequence[Question], unseen: Callable[[Question], bool]) -> Judged:
    """The questions of unseen documents of the pool, and the whole pool."""
    fit = [one for one in asked if (one.owner, one.document) in pool.rows and unseen(one)]
    documents = np.empty(len(pool.passages), object)
    for (owner, document), rows in pool.rows.items():
        documents[rows] = f"{owner}/{document}"
    return Judged(
        {str(number): one.text for number, one in enumerate(fit)},
        {str(number): {f"{one.owner}/{one.document}": 1} for number, one in enumerate(fit)},
        [passage.text for passage in pool.passages],
        documents.tolist(),
    )


def sample(whole: Judged, *, count: int, passages: int, seed: int = 0) -> Judged:
    """At most `count` queries drawn at random, among the passages of the documents judged for them and others drawn
    until there are `passages`; the judged ones are all there, were they more."""
    random = np.random.default_rng(seed)
    names = list(whole.queries)
    queries = {names[number]: whole.queries[names[number]] for number in random.permutation(len(names))[:count]}
    needed = {document for query in queries for document in whole.judgements[query]}
    gold = np.array([document in needed for document in whole.documents], bool)
    rows = np.concatenate([np.flatnonzero(gold), random.permutation(np.flatnonzero(~gold))])
    rows = np.sort(rows[: max(passages, int(gold.sum()))])
    return Judged(
        queries,
        {query: whole.judgements[query] for query in queries},
        [whole.texts[row] for row in rows],
        [whole.documents[row] for row in rows],
    )


def rankings(encoder: Encoder, sample: Judged, depth: int) -> dict[str, list[str]]:
    """The first `depth` documents of each query, by the cosine of their best passage."""
    names, number = np.unique(np.array(sample.documents), return_inverse=True)
    order = np.argsort(number, kind="stable")
    starts = np.searchsorted(number[order], np.arange(len(names)))
    vectors = encoder.encode(sample.texts)[order]
    found: dict[str, list[str]] = {}
    queries = list(sample.queries)
    for start in range(0, len(queries), _AT_ONCE):
        part = queries[start : start + _AT_ONCE]
        scores = encoder.encode([sample.queries[query] for query in part]) @ vectors.T
        best: NDArray[np.float32] = np.maximum.reduceat(scores, starts, axis=1)
        first = np.argsort(-best, axis=1, kind="stable")[:, :depth]
        found |= {query: names[row].tolist() for query, row in zip(part, first, strict=True)}
    return found
