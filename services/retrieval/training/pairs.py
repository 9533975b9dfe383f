"""Training pairs made from a datastore without a language model."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from services.retrieval.datastore.segment import Segment
from services.retrieval.encoders.base import Encoder
from services.retrieval.training.split import held_out


@dataclass(frozen=True)
class Question:
    """A question and the document that answers it."""

    text: str
    document: str
    owner: str


@dataclass(frozen=True)
class Pair:
    """A query, a passage that answers it, one that does not, and where the passages come from."""

    query: str
    positive: str
    negative: str
    kind: str
    owner: str
    document: str
    licence: str
    negative_document: str


def questions(folder: Path, owners: Collection[str]) -> list[Question]:
    """The questions of these owners that name their document and can be understood without a context."""
    found: list[Question] = []
    for file in sorted(folder.glob("*.jsonl")):
        with file.open(encoding="utf-8") as lines:
            found += (
                Question(row["question"], row["document"], row["owner"])
                for row in map(json.loads, lines)
                if row["owner"] in owners and row["document"] and row["standalone"]
            )
    return found


def build_pairs(
    segments: Sequence[Segment], encoder: Encoder, asked: Sequence[Question], *, held: float, margin: float
) -> Iterator[Pair]:
    """A pair for each question whose document is in the segments and not held out.

    The positive is the document's passage nearest to the question. The negative is of another document that is not
    held out, as `hard_negative` chooses; a question without any is left out.
    """
    rows = [(segment, row) for segment in segments for row in range(len(segment.passages))]
    documents = np.array([segment.passages.passage(row).document for segment, row in rows])
    vectors = np.concatenate([np.asarray(segment.vectors.exact, np.float32) for segment in segments])
    trainable = np.array([not held_out(document, held) for document in documents])
    for question in asked:
        gold = documents == question.document
        if held_out(question.document, held) or not gold.any():
            continue
        scores = vectors @ encoder.encode([question.text])[0]
        positive = int(np.flatnonzero(gold)[scores[gold].argmax()])
        negative = hard_negative(scores, trainable & ~gold, float(scores[positive]) - margin)
        if negative is None:
            continue
        right, wrong = (rows[number][0].passages.passage(rows[number][1]) for number in (positive, negative))
        owner = rows[positive][0].manifest.owner
        yield Pair(
            question.text, right.text, wrong.text, "question", owner, right.document, right.licence, wrong.document
        )


def hard_negative(scores: NDArray[np.float32], allowed: NDArray[np.bool_], limit: float) -> int | None:
    """The best of the (n,) allowed passages that scores at most `limit`; what scores above it may well answer the
    query too, and is no negative. None if there is no such passage."""
    candidates = np.flatnonzero(allowed & (scores.astype(np.float64) <= limit))
    return int(candidates[scores[candidates].argmax()]) if candidates.size else None
