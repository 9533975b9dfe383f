"""Where a text stands nearly: runs of equal words, chained over small gaps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.tracing.approximate.index import WordIndex
from services.tracing.approximate.kernels import extend
from services.tracing.approximate.words import Words, read
from services.tracing.index.segment import Segment
from services.tracing.search.arrays import Numbers, stretches
from services.tracing.search.kernels import living, longest, positions, ranges
from services.tracing.tokenizer import Ids

SEED = 4
"""Equal words in a row from which a match is looked for."""
OCCURRENCES = 10
"""Places looked at for a run of words in one segment, at even distances in suffix order when there are more."""


@dataclass(frozen=True)
class Difference:
    """`text[start:end]` of what was asked for, in code points, and `document[there_start:there_end]` of a match's text
    in its place; either may be empty."""

    start: int
    end: int
    there_start: int
    there_end: int


@dataclass(frozen=True)
class Approximate:
    """`text[start:end]` stands nearly in a document, as `there`.

    `similarity`: twice the equal words over the words of both (Dice); `differences` are all the others, in order.
    Without any, only case, punctuation and spaces are others. `offset`: how many words of the document come before.
    """

    start: int
    end: int
    similarity: float
    segment: int
    document: int
    offset: int
    there: str
    differences: list[Difference]


@dataclass(frozen=True, eq=False)
class _Chain:
    """Words [first, last) of the text and [low, high) of a segment's index, of which `equal` are the same, and those of
    `gaps` (see `extend`) are not."""

    segment: int
    document: int
    first: int
    last: int
    low: int
    high: int
    equal: int
    gaps: Numbers

    @property
    def similarity(self) -> float:
        return 2 * self.equal / (self.last - self.first + self.high - self.low)


def approximate(
    text: str, segments: Sequence[tuple[Segment, WordIndex]], *, min_words: int, similarity: float, most: int
) -> list[Approximate]:
    """The stretches of a text of at least `min_words` words that stand nearly in a document; of each the best match.

    None is contained in another. At most `most` of them, those with the most equal words, in the order of the text.
    """
    words = read(text)
    chains = [
        chain
        for number, (_, index) in enumerate(segments)
        for chain in _chains(number, index, index.ids(words.keys))
        if chain.last - chain.first >= min_words and chain.similarity >= similarity
    ]
    chains.sort(key=lambda chain: (-chain.equal, -chain.similarity, chain.segment, chain.low))
    kept: list[_Chain] = []
    for chain in chains:
        if len(kept) < most and not any(one.first <= chain.first and chain.last <= one.last for one in kept):
            kept.append(chain)
    kept.sort(key=lambda chain: (chain.first, chain.last))
    return [_shown(chain, words, *segments[chain.segment]) for chain in kept]


def _chains(number: int, index: WordIndex, ids: Ids) -> Iterator[_Chain]:
    """Every chain from a run of SEED equal words or more that no other chain to the same place has taken in."""
    reach = longest(index.index, stretches(ids, np.arange(ids.size), np.arange(ids.size, 0, -1))) if ids.size else ids
    firsts = np.flatnonzero(_begins(np.asarray(reach)))
    lengths = np.asarray(reach)[firsts].astype(np.int64)
    found = ranges(index.index, stretches(ids, firsts, lengths))
    taken: dict[int, list[_Chain]] = {}
    for at in np.argsort(-lengths, kind="stable").tolist():
        first, length, (low, _, count) = int(firsts[at]), int(lengths[at]), found[at].tolist()
        numbers = np.unique(np.linspace(0, count, min(count, OCCURRENCES), endpoint=False, dtype=np.int64))
        places = positions(index.index, living(index.index, low, numbers))
        for place, document in zip(places.tolist(), index.documents_at(places).tolist(), strict=True):
            there = taken.setdefault(document, [])
            if any(one.first <= first < one.last and one.low <= place < one.high for one in there):
                continue
            stretch, gaps = extend(index.index.tokens, ids, index.bounds(document), (first, place, length))
            first_word, last_word, low_place, high_place, equal = stretch.tolist()
            chain = _Chain(number, document, first_word, last_word, low_place, high_place, equal, gaps)
            there.append(chain)
            yield chain


def _begins(reach: Numbers) -> NDArray[np.bool_]:
    """Where a run of SEED equal words or more begins that is no part of the run from the word before."""
    before = np.concatenate(([0], reach[:-1])) - 1
    return (reach >= SEED) & (reach > before)


def _shown(chain: _Chain, words: Words, segment: Segment, index: WordIndex) -> Approximate:
    first, _ = index.bounds(chain.document)
    there, theirs = index.text(segment, chain.document, chain.low - first, chain.high - first)
    return Approximate(
        start=int(words.starts[chain.first]),
        end=int(words.ends[chain.last - 1]),
        similarity=chain.similarity,
        segment=chain.segment,
        document=chain.document,
        offset=chain.low - first,
        there=there,
        differences=_differences(chain, words, theirs),
    )


def _differences(chain: _Chain, words: Words, theirs: Words) -> list[Difference]:
    """Where the words of both are not the same; `theirs` are those of the chain in the document."""
    return [
        Difference(*_edges(words, first, last), *_edges(theirs, low - chain.low, high - chain.low))
        for first, last, low, high in sorted(chain.gaps.tolist())
    ]


def _edges(words: Words, first: int, last: int) -> tuple[int, int]:
    """The code points of words [first, last); of none, the end of the word before."""
    if first == last:
        at = int(words.ends[first - 1]) if first else 0
        return at, at
    return int(words.starts[first]), int(words.ends[last - 1])
