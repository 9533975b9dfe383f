"""What of an owner's segments is hidden: documents that were deleted, or written anew in a later segment."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from services.retrieval.datastore.added import Span
from services.retrieval.datastore.keys import digests
from services.retrieval.datastore.segment import Segment
from services.retrieval.datastore.tombstones import Tombstones


def shown(segments: Sequence[Segment], tombstones: Tombstones) -> list[Segment]:
    """The segments of one owner, in the order given, each hiding what is not to be seen of it.

    Later additions stand over earlier ones, and all of them over what `candor data build` made. A deletion holds for
    what was there before it.
    """
    order = sorted(range(len(segments)), key=lambda number: -_last(segments[number]))
    over = np.empty(0, np.uint64)
    made: dict[int, Segment] = {}
    for number in order:
        segment = segments[number]
        deleted = [identity for identity, when in tombstones.documents.items() if when > _last(segment)]
        made[number] = segment.hiding(np.concatenate([over, digests(deleted)]))
        if _last(segment):
            over = np.concatenate([over, segment.passages.digests])
    return [made[number] for number in range(len(segments))]


def _last(segment: Segment) -> int:
    """The number of a segment's last addition; 0 for one that was built of a source."""
    span = Span.parse(segment.manifest.id)
    return span.last if span else 0
