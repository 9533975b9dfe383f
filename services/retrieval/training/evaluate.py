"""Whether an encoder finds the document of a question, on documents that it was not trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.retrieval.datastore.segment import Segment
from services.retrieval.encoders.base import Encoder
from services.retrieval.training.pairs import Question
from services.retrieval.training.split import held_out

FIGURES: Mapping[str, Callable[[NDArray[np.int64]], NDArray[np.float64]]] = {
    "recall@1": lambda ranks: (ranks <= 1).astype(np.float64),
    "recall@10": lambda ranks: (ranks <= 10).astype(np.float64),
    "MRR@10": lambda ranks: np.where(ranks <= 10, 1 / ranks, 0.0),
    "nDCG@10": lambda ranks: np.where(ranks <= 10, 1 / np.log2(1 + ranks), 0.0),
}
"""Of the (q,) ranks, from 1, of each question's one relevant document; one value a question."""


@dataclass(frozen=True)
class Sample:
    """Questions, and the passages they are searched among with the document of each."""

    asked: list[Question]
    texts: list[str]
    documents: list[str]


def sample(
    segments: Sequence[Segment], asked: Sequence[Question], *, held: float, count: int, passages: int, seed: int = 0
) -> Sample:
    """At most `count` questions of held-out documents, among their documents' passages and others drawn at random
    until there are `passages`."""
    rows = [segment.passages.passage(row) for segment in segments for row in range(len(segment.passages))]
    present = {row.document for row in rows}
    random = np.random.default_rng(seed)
    fit = [question for question in asked if question.document in present and held_out(question.document, held)]
    chosen = [fit[number] for number in random.permutation(len(fit))[:count]]
    gold = {question.document for question in chosen}
    kept = [row for row in rows if row.document in gold]
    others = [row for row in rows if row.document not in gold]
    kept += [others[number] for number in random.permutation(len(others))[: max(0, passages - len(kept))]]
    return Sample(chosen, [row.text for row in kept], [row.document for row in kept])


def ranks(encoder: Encoder, sample: Sample) -> NDArray[np.int64]:
    """(q,) ranks, from 1, of each question's document among the documents by their best passage; ties count against
    it."""
    vectors = encoder.encode(sample.texts)
    names, number = np.unique(sample.documents, return_inverse=True)
    place = {str(name): index for index, name in enumerate(names)}
    found = []
    for question, vector in zip(sample.asked, encoder.encode([one.text for one in sample.asked]), strict=True):
        best = np.full(len(names), -np.inf, np.float32)
        np.maximum.at(best, number, vectors @ vector)
        found.append(int((best >= best[place[question.document]]).sum()))
    return np.array(found, np.int64)


def interval(differences: NDArray[np.float64], draws: int = 2000, seed: int = 0) -> tuple[float, float]:
    """The 95 % percentile interval of the mean of (q,) paired differences, by bootstrap (Efron 1979)."""
    random = np.random.default_rng(seed)
    drawn = random.integers(0, len(differences), (draws, len(differences)))
    low, high = np.percentile(differences[drawn].mean(axis=1), [2.5, 97.5])
    return float(low), float(high)
