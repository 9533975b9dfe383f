"""Steps 4 and 5 of OLMoTrace: documents in which a span stands, with what stands around it there."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from services.tracing.index.segment import Segment
from services.tracing.search.kernels import living, positions
from services.tracing.tokenizer import Tokenizer
from services.tracing.trace.spans import Hits

CONTINUATION = bytes(range(0x80, 0xC0))
"""The bytes of UTF-8 that continue a character."""
OVERSAMPLED = 4
"""Occurrences drawn for each document wanted: several may stand in the same one."""


class Occurrence(NamedTuple):
    """A match in a document: `length` tokens from `position` of segment number `segment` on."""

    segment: int
    document: int
    position: int
    length: int


class Snippet(NamedTuple):
    """Text around a match: `text[start:end]` is the match, in code points."""

    text: str
    start: int
    end: int


def sample_documents(hits: Sequence[Hits], segments: Sequence[Segment], most: int, seed: str) -> list[Occurrence]:
    """An occurrence in each of at most `most` documents, the same for the same seed.

    One document of every owner comes first, so that no owner is hidden by another with more text; the rest are
    drawn from all occurrences alike.
    """
    dice = random.Random(seed)
    by_owner: dict[str, list[Hits]] = {}
    for hit in hits:
        by_owner.setdefault(segments[hit.segment].owner, []).append(hit)
    firsts = [_drawn(theirs, segments, 1, dice)[0] for _, theirs in sorted(by_owner.items())]
    dice.shuffle(firsts)
    chosen: dict[tuple[int, int], Occurrence] = {}
    for occurrence in [*firsts, *_drawn(hits, segments, most * OVERSAMPLED, dice)]:
        chosen.setdefault((occurrence.segment, occurrence.document), occurrence)
    return list(chosen.values())[:most]


def sample(hits: Sequence[Hits], segments: Sequence[Segment], most: int, seed: str) -> list[Occurrence]:
    """At most `most` occurrences, drawn without replacement, the same for the same seed."""
    return _drawn(hits, segments, most, random.Random(seed))


def snippet(segment: Segment, occurrence: Occurrence, matched: bytes, context: int, tokenizer: Tokenizer) -> Snippet:
    """The match and `context` tokens on either side of it, within its document.

    `matched` is the text that was looked for; the tokens found may have a space before it. It must be whole
    characters, else UnicodeDecodeError.
    """
    first, last = surroundings(segment, occurrence, context)
    tokens = segment.index.tokens
    before = tokenizer.decode(tokens[first : occurrence.position])
    after = tokenizer.decode(tokens[occurrence.position : last])
    lead = _lead(after, matched)
    # the context may begin or end inside a character; the match does not
    whole = len(before) - len(before.lstrip(CONTINUATION))
    left = (before[whole:] + after[:lead]).decode("utf-8")
    right = after[lead + len(matched) :].decode("utf-8", "ignore")
    match = matched.decode("utf-8")
    return Snippet(left + match + right, len(left), len(left) + len(match))


def offset(segment: Segment, occurrence: Occurrence, matched: bytes, tokenizer: Tokenizer) -> int:
    """Where in its document's text a match begins, in code points."""
    first, _ = segment.bounds(occurrence.document)
    position, tokens = occurrence.position, segment.index.tokens
    before = tokenizer.decode(tokens[first:position]).decode("utf-8")
    return len(before) + _lead(tokenizer.decode(tokens[position : position + occurrence.length]), matched)


def surroundings(segment: Segment, occurrence: Occurrence, context: int) -> tuple[int, int]:
    """The positions [first, last) of a match and `context` tokens on either side of it, within its document."""
    first, last = segment.bounds(occurrence.document)
    end = occurrence.position + occurrence.length
    return max(first, occurrence.position - context), min(last, end + context)


def _drawn(hits: Sequence[Hits], segments: Sequence[Segment], most: int, dice: random.Random) -> list[Occurrence]:
    """Occurrences in the order in which they are drawn."""
    bounds = list(accumulate((hit.times for hit in hits), initial=0))
    numbers = dice.sample(range(bounds[-1]), min(most, bounds[-1]))
    by_hit: dict[int, list[int]] = {}
    for place, number in enumerate(numbers):
        by_hit.setdefault(bisect_right(bounds, number) - 1, []).append(place)
    found: dict[int, Occurrence] = {}
    for which, places in by_hit.items():
        hit, segment = hits[which], segments[hits[which].segment]
        offsets = np.array([numbers[place] - bounds[which] for place in places], dtype=np.int64)
        at = positions(segment.index, living(segment.index, hit.low, offsets))
        documents = segment.documents_at(at).tolist()
        for place, position, document in zip(places, at.tolist(), documents, strict=True):
            found[place] = Occurrence(hit.segment, document, position, hit.length)
    return [found[place] for place in range(len(numbers))]


def _lead(found: bytes, matched: bytes) -> int:
    """Bytes of the tokens found before the text that was looked for: 1 for a space it does not begin with, else 0."""
    lead = 0 if found.startswith(matched) else 1
    if not found.startswith(matched, lead):
        raise AssertionError(f"the index found {found!r} for {matched!r}")
    return lead
