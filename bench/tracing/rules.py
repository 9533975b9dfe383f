"""infini-gram's way from longest matches to spans, which goes by token ids; Candor's own goes by the text.

Both systems are given these rules where their spans must be the same. What differs in Candor's own rules
(`services.tracing.trace`): delimiters are looked for in the text, so that `.\\n` or `...` is one too, and a word begins
where the text says so, so that a word after a bracket can begin a span; it is looked for with and without a space.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.unsignedinteger[Any]]
Numbers = NDArray[np.int64]
Measure = Callable[[Numbers, Numbers], Numbers]
"""From the first tokens of stretches of a text and their lengths to a number for each."""
Span = tuple[int, int, int]
"""The tokens [first, last) of a text, and how often they occur."""


class Rules(NamedTuple):
    """Of each token id, whether it begins a word, and whether it is a delimiter."""

    words: NDArray[np.bool_]
    delimiters: NDArray[np.bool_]


def rules(pieces: list[bytes]) -> Rules:
    """The rules for a byte-level vocabulary, `pieces[i]` being the bytes of token i.

    As upstream has them for Llama 2 (dump_bow_ids.py): a token begins a word if it begins with a space or is a single
    character other than a comma. Delimiters are the tokens of a full stop and a newline.
    """
    words = [piece[:1].isspace() or (len(piece) == 1 and piece != b",") for piece in pieces]
    return Rules(np.array(words), np.array([piece in (b".", b"\n") for piece in pieces]))


def attribute(ids: Ids, by: Rules, longest: Measure, count: Measure, *, min_length: int, max_count: int) -> list[Span]:
    """The spans that the peer's `attribute` finds with `enforce_bow`.

    `longest` gives how much of a stretch occurs anywhere, `count` how often all of it does. A match is cut after its
    first delimiter and then back to where the next token begins a word; what another contains is dropped.
    """
    size = ids.size
    begins = by.words[ids]
    starts = np.flatnonzero(begins)
    after = np.where(by.delimiters[ids], np.arange(1, size + 1), size)
    stops = np.minimum.accumulate(after[::-1])[::-1]
    ends = np.maximum.accumulate(np.where(np.append(begins, True), np.arange(size + 1), 0))
    # what follows the delimiter need not be compared
    reached = ends[starts + longest(starts, stops[starts] - starts)]
    maximal = reached > np.maximum.accumulate(np.concatenate(([0], reached)))[:-1]
    chosen = maximal & (reached - starts >= max(min_length, 1))
    first, last = starts[chosen], reached[chosen]
    counts = count(first, last - first)
    found = zip(first.tolist(), last.tolist(), counts.tolist(), strict=True)
    return [span for span in found if span[2] <= max_count]
