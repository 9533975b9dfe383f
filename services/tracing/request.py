"""What a request may ask for: checks that every question shares."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from services.tracing.errors import BadTokens, TextTooLong
from services.tracing.tokenizer import Ids, Tokenizer


def check_text(text: str, field: str, limit: int) -> None:
    """Raises TextTooLong."""
    if len(text) > limit:
        raise TextTooLong(field, len(text), limit)


def check_tokens(tokens: Sequence[int], tokenizer: Tokenizer, limit: int) -> Ids:
    """The tokens as an array. Raises TextTooLong, and BadTokens for one that the tokenizer does not have."""
    if len(tokens) > limit:
        raise TextTooLong("tokens", len(tokens), limit, "ids")
    if tokens and max(tokens) >= tokenizer.size:
        raise BadTokens(f"There is no token {max(tokens)}: the ids of {tokenizer.name} end at {tokenizer.size - 1}.")
    return np.array(tokens, dtype=tokenizer.dtype)


def check_characters(matched: bytes) -> None:
    """Raises BadTokens for what is not whole characters."""
    try:
        matched.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadTokens("The tokens begin or end inside a character: they can be counted, but not shown.") from error
