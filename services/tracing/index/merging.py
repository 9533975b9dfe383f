"""What of a corpus is to be merged, and of what."""

from __future__ import annotations

from collections.abc import Iterator

from services.tracing.index.opening import Opened
from services.tracing.index.segment import Segment

FAN = 8
"""So many additions of like size are merged: sizes are alike that have the same number of digits to this base."""
HIDDEN = 5
"""A segment of which this part (a fifth) or more of the documents is hidden is written anew without them."""
MOST_TOKENS = 1 << 26
"""No larger segment is merged into another: its index of words is made in memory."""


def groups(opened: Opened) -> Iterator[list[Segment]]:
    """The segments to be put together, each group by itself."""
    for segment in opened.segments.values():
        if segment.hidden.size * HIDDEN >= segment.held:
            yield [segment]
    tiers: dict[int, list[Segment]] = {}
    for added in opened.manifest.added:
        if added.name in opened.segments:
            segment = opened.segments[added.name]
            tiers.setdefault(_tier(segment), []).append(segment)
    for _, alike in sorted(tiers.items()):
        if len(alike) >= FAN and sum(int(segment.index.tokens.size) for segment in alike[:FAN]) <= MOST_TOKENS:
            yield alike[:FAN]


def _tier(segment: Segment) -> int:
    size, tier = int(segment.index.tokens.size), 0
    while size >= FAN:
        size, tier = size // FAN, tier + 1
    return tier
