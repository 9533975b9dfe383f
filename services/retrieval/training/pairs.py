"""Training pairs: what one is, how they are stored, and how they are made of a datastore without a language model."""

from __future__ import annotations

import json
import random
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from services.retrieval.datastore.segment import Segment
from services.retrieval.encoders.base import Encoder
from services.retrieval.training.pool import pool, vectors
from services.retrieval.training.split import held_out

_AT_ONCE = 64


class BadPairs(ValueError):
    """A file of pairs cannot be used; the message names the line and what to do."""


@dataclass(frozen=True)
class Question:
    """A question and the document that answers it."""

    text: str
    document: str
    owner: str


@dataclass(frozen=True)
class Pair:
    """A query, a passage that answers it, one that does not, and where the passages come from.

    `held` is the share of documents that were held out when it was made (`split.held_out`).
    """

    query: str
    positive: str
    negative: str
    kind: str
    owner: str
    document: str
    licence: str
    negative_document: str | None
    held: float


def read_pairs(file: Path) -> list[Pair]:
    """The pairs in a JSONL file; fields beyond a pair's are provenance and not read. Raises BadPairs."""
    if not file.is_file():
        raise BadPairs(f"There is no {file}: make it with `candor retriever build-pairs` or `synthesise`.")
    names = [field.name for field in fields(Pair)]
    pairs = []
    lines = file.read_text(encoding="utf-8").split("\n")
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        try:
            row = json.loads(line)
            pairs.append(Pair(**{name: row[name] for name in names}))
        except (ValueError, KeyError, TypeError) as error:
            what = "was not written to its end" if number == len(lines) else f"is not a pair ({error!r})"
            raise BadPairs(f"{file}, line {number} {what}: remove it, or make the file anew.") from error
    return pairs


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
    """A pair for each question whose document is in the segments and not held out, in an order drawn at random.

    The positive is the document's passage nearest to the question. The negative is of another document that is not
    held out, as `hard_negative` chooses; a question without any is left out.
    """
    shown, made = pool(segments), vectors(segments, encoder)
    trainable = np.array([not held_out(passage.document, held) for passage in shown.passages], bool)
    fit = [one for one in asked if (one.owner, one.document) in shown.rows and not held_out(one.document, held)]
    random.Random(0).shuffle(fit)
    for start in range(0, len(fit), _AT_ONCE):
        part = fit[start : start + _AT_ONCE]
        for question, scores in zip(part, encoder.encode([one.text for one in part]) @ made.T, strict=True):
            rows = shown.rows[question.owner, question.document]
            positive = rows[int(scores[rows].argmax())]
            others = trainable.copy()
            others[rows] = False
            negative = hard_negative(scores, others, float(scores[positive]) - margin)
            if negative is None:
                continue
            right, wrong = shown.passages[positive], shown.passages[negative]
            yield Pair(
                query=question.text,
                positive=right.text,
                negative=wrong.text,
                kind="question",
                owner=question.owner,
                document=right.document,
                licence=right.licence,
                negative_document=wrong.document,
                held=held,
            )


def hard_negative(scores: NDArray[np.float32], allowed: NDArray[np.bool_], limit: float) -> int | None:
    """The best of the (n,) allowed passages that scores at most `limit`; what scores above it may well answer the
    query too, and is no negative. None if there is no such passage."""
    candidates = np.flatnonzero(allowed & (scores.astype(np.float64) <= limit))
    return int(candidates[scores[candidates].argmax()]) if candidates.size else None
