"""What of an owner's segments is hidden: documents that were deleted, or written anew in a later segment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from services.retrieval.datastore import manifest
from services.retrieval.datastore.added import Span
from services.retrieval.datastore.keys import FILE as KEYS
from services.retrieval.datastore.keys import Digests, Keys
from services.retrieval.datastore.manifest import BadSegment
from services.retrieval.datastore.segment import Segment
from services.retrieval.datastore.tombstones import Tombstones


@dataclass(frozen=True)
class Layer:
    """An addition by the number of its last change, and the digests of its documents' ids: over what is older it stands
    whether it can be read or not."""

    last: int
    digests: Digests


def shown(segments: Sequence[Segment], tombstones: Tombstones, unread: Sequence[Layer] = ()) -> list[Segment]:
    """The segments of one owner, in the order given, each hiding what is not to be seen of it.

    Later additions stand over earlier ones, and all of them over what `candor data build` made; those that are damaged
    too (`unread`): what they replaced does not come back. A deletion holds for what was there before it.
    """
    layers = [*unread, *(Layer(_last(segment), segment.passages.digests) for segment in segments if _last(segment))]
    made = []
    for segment in segments:
        over = [layer.digests for layer in layers if layer.last > _last(segment)]
        made.append(segment.hiding(np.concatenate([*over, tombstones.after(_last(segment))])))
    return made


def layer(place: Path) -> Layer:
    """That of an addition's folder, without opening the segment. Raises BadSegment if it is not known what is in it."""
    span, present = Span.parse(place.name), manifest.parse(place)
    try:
        if span is None or manifest.stamp_file(place / KEYS) != present.files[KEYS]:
            raise BadSegment(place, f"{KEYS} is damaged")
    except (OSError, KeyError) as error:
        raise BadSegment(place, f"{KEYS} is missing") from error
    return Layer(span.last, Keys(place).digests)


def _last(segment: Segment) -> int:
    """The number of a segment's last addition; 0 for one that was built of a source."""
    span = Span.parse(segment.manifest.id)
    return span.last if span else 0
