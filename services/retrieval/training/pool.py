"""The passages of a datastore that may be trained on, and measured with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.retrieval.datastore.passages import Passage
from services.retrieval.datastore.segment import Segment
from services.retrieval.encoders.base import Encoder


@dataclass(frozen=True)
class Pool:
    """Passages that are not hidden: never of documents that were deleted or written anew."""

    passages: list[Passage]
    rows: dict[tuple[str, str], list[int]]
    """Which passages are of a document, by its owner and id."""


def pool(segments: Sequence[Segment]) -> Pool:
    """The passages of these segments that are not hidden."""
    passages: list[Passage] = []
    places: dict[tuple[str, str], list[int]] = {}
    for segment in segments:
        for row in _rows(segment).tolist():
            passage = segment.passages.passage(row)
            places.setdefault((segment.manifest.owner, passage.document), []).append(len(passages))
            passages.append(passage)
    return Pool(passages, places)


def vectors(segments: Sequence[Segment], encoder: Encoder) -> NDArray[np.float32]:
    """(n, d) vectors of the pool's passages: those stored, or made again where none are. The segments must be of this
    encoder."""
    parts = [np.empty((0, encoder.card.dimension), np.float32)]
    for segment in segments:
        rows = _rows(segment)
        if segment.vectors is None:
            parts.append(encoder.encode([segment.passages.text(row) for row in rows.tolist()]))
        else:
            parts.append(np.asarray(segment.vectors.first[rows], np.float32))
    return np.concatenate(parts)


def _rows(segment: Segment) -> NDArray[np.intp]:
    shown = np.ones(len(segment.passages), bool) if segment.alive is None else segment.alive
    return np.flatnonzero(shown)
