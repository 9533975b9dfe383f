"""Where one text, one run of tokens, or a conjunction of texts stands."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from services.tracing.index.segment import Segment
from services.tracing.search.arrays import Patterns, whole
from services.tracing.search.kernels import range_of
from services.tracing.tokenizer import Ids, Tokenizer
from services.tracing.trace.phrases import Phrases, phrases
from services.tracing.trace.query import read
from services.tracing.trace.spans import Hits, locate


def look_up_text(text: str, segments: Sequence[Segment], tokenizer: Tokenizer) -> tuple[Ids, Sequence[Hits]]:
    """The tokens of a text and where it stands, with or without a space before it; a space of its own must stand.

    Raises UnicodeEncodeError for a lone surrogate.
    """
    ids, spelt = _spelt(text, tokenizer)
    return ids, locate(spelt, segments)[0].hits


def look_up_tokens(ids: Ids, segments: Sequence[Segment]) -> Sequence[Hits]:
    """Where exactly these tokens stand. All must be ids of the tokenizer."""
    found = [(number, range_of(segment.index, ids)) for number, segment in enumerate(segments)]
    return [Hits(number, low, high, times, ids.size) for number, (low, high, times) in found if times]


def spellings(text: str, tokenizer: Tokenizer) -> list[Ids]:
    """The runs of tokens that are a text, with and without a space before it."""
    _, spelt = _spelt(text, tokenizer)
    return [_joined(spelt.patterns, number) for number in range(spelt.start.size)]


def _spelt(text: str, tokenizer: Tokenizer) -> tuple[Ids, Phrases]:
    query = read(text, tokenizer)
    if text[0] == " ":
        return query.ids, _exactly(query.ids)
    return query.ids, phrases(query, np.zeros(1, dtype=np.int64), np.array([query.tokens]), tokenizer)


def _exactly(ids: Ids) -> Phrases:
    return Phrases(np.zeros(1, dtype=np.int64), whole(ids))


def _joined(patterns: Patterns, number: int) -> Ids:
    """One pattern in one piece."""
    first, cut = int(patterns.head[number]), int(patterns.split[number])
    rest, length = int(patterns.tail[number]), int(patterns.length[number])
    return np.concatenate((patterns.heads[first : first + cut], patterns.text[rest : rest + length - cut]))
