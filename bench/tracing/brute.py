"""What the answers must be, by looking at every token of a small corpus; and what the peer's are, with its faults.

Two are known. A match is overlooked in a shard all of whose suffixes sort after the text: the neighbour before is
looked at, and if there is none neither is the one after. And what follows a context that stands at the very end of a
shard is all taken for ends of documents, if it stands at the end of another document too: both come out as the same
token, and where the first and the last of sorted suffixes have the same, those between are not looked at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from bench.tracing.rules import Ids, Numbers, Rules, Span, attribute

Tokens = list[int]
SEPARATOR = b"\xff\xff"


class Brute:
    """Documents in segments: `segments[s][d]` are the tokens of a document. `end` stands for the end of a document.

    With `as_peer` answers have the peer's faults.
    """

    def __init__(self, segments: Sequence[Sequence[Tokens]], end: int) -> None:
        self._segments = segments
        self._end = end
        self._sorted = [_sorted(documents) for documents in segments]

    def places(self, ids: Tokens) -> list[tuple[int, int, int]]:
        """Where a sequence stands: segment, document and token in it."""
        return [
            (segment, document, at)
            for segment, documents in enumerate(self._segments)
            for document, tokens in enumerate(documents)
            for at in range(len(tokens) - len(ids) + 1)
            if tokens[at : at + len(ids)] == ids
        ]

    def following(self, context: Tokens, *, as_peer: bool = False) -> list[tuple[int, int]]:
        """How often each token follows a context, by token; of an empty one, how often each occurs at all."""
        counts: Counter[int] = Counter()
        if as_peer:
            for suffixes in self._sorted:
                counts += self._halved(suffixes, context)
            return sorted(counts.items())
        for segment, document, at in self.places(context):
            tokens = self._segments[segment][document]
            after = at + len(context)
            counts[tokens[after] if after < len(tokens) else self._end] += 1
        return sorted(counts.items())

    def _halved(self, suffixes: Sequence[bytes], context: Tokens) -> Counter[int]:
        """As the peer counts: it halves ranks until both ends of them have the same token, or they are fewer than 4."""
        begin = _bytes(context)
        after = {rank: suffix[len(begin) :][:2] for rank, suffix in enumerate(suffixes) if suffix.startswith(begin)}
        token = {
            rank: self._end if two in (b"", SEPARATOR) else int.from_bytes(two, "little") for rank, two in after.items()
        }

        def counted(low: int, high: int) -> Counter[int]:
            if high - low < 4:
                return Counter(token[rank] for rank in range(low, high))
            if token[low] == token[high - 1]:
                return Counter({token[low]: high - low})
            middle = (low + high) // 2
            return counted(low, middle) + counted(middle, high)

        return counted(min(token), max(token) + 1) if token else Counter()

    def suffix(self, context: Tokens) -> int:
        """The length of the longest suffix of a context that occurs."""
        return next(length for length in range(len(context), -1, -1) if self.places(context[len(context) - length :]))

    def spans(self, ids: Ids, by: Rules, max_count: int, *, as_peer: bool) -> list[Span]:
        """The maximal spans that occur at most so often."""
        whole = ids.tolist()

        def longest(starts: Numbers, lengths: Numbers) -> Numbers:
            pairs = zip(starts.tolist(), lengths.tolist(), strict=True)
            return np.array([self._longest(whole, at, length, as_peer) for at, length in pairs], dtype=np.int64)

        def count(starts: Numbers, lengths: Numbers) -> Numbers:
            pairs = zip(starts.tolist(), lengths.tolist(), strict=True)
            return np.array([len(self.places(whole[at : at + length])) for at, length in pairs], dtype=np.int64)

        return attribute(ids, by, longest, count, min_length=1, max_count=max_count)

    def _longest(self, ids: Tokens, at: int, most: int, as_peer: bool) -> int:
        # the peer compares with all that follows in the text, also past a delimiter
        rest = _bytes(ids[at:])
        found = 0
        for documents, suffixes in zip(self._segments, self._sorted, strict=True):
            if as_peer and rest < suffixes[0] and not suffixes[0].startswith(rest):
                continue
            for tokens in documents:
                for start in range(len(tokens)):
                    length = 0
                    while length < most and tokens[start + length : start + length + 1] == [ids[at + length]]:
                        length += 1
                    found = max(found, length)
        return found


def _sorted(documents: Sequence[Tokens]) -> list[bytes]:
    """Every suffix of a shard as the peer compares them: as bytes, to the end of the shard and not of its document."""
    shard = b"".join(SEPARATOR + _bytes(tokens) for tokens in documents)
    return sorted(shard[at:] for at in range(0, len(shard), 2))


def _bytes(ids: Sequence[int]) -> bytes:
    return np.array(ids, dtype="<u2").tobytes()
