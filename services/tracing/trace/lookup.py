"""Where one text, or one run of tokens, stands."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from services.tracing.index.segment import Segment
from services.tracing.search import whole
from services.tracing.tokenizer import Ids, Tokenizer
from services.tracing.trace.phrases import Phrases, phrases
from services.tracing.trace.query import read
from services.tracing.trace.spans import Hits, locate


def look_up_text(text: str, segments: Sequence[Segment], tokenizer: Tokenizer) -> tuple[Ids, Sequence[Hits]]:
    """The tokens of a text and where it stands, with or without a space before it; a space of its own must stand.

    Raises UnicodeEncodeError for a lone surrogate.
    """
    query = read(text, tokenizer)
    if text[0] == " ":
        return query.ids, look_up_tokens(query.ids, segments)
    whole_text = phrases(query, np.zeros(1, dtype=np.int64), np.array([query.tokens]), tokenizer)
    return query.ids, locate(whole_text, segments)[0].hits


def look_up_tokens(ids: Ids, segments: Sequence[Segment]) -> Sequence[Hits]:
    """Where exactly these tokens stand. All must be ids of the tokenizer."""
    return locate(Phrases(np.zeros(1, dtype=np.int64), whole(ids)), segments)[0].hits
