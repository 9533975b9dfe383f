"""What an endpoint sent, or a plug-in planned, as both databases can keep it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
"""PostgreSQL keeps no NUL, and half of a surrogate pair has no UTF-8: an endpoint's JSON can have both."""

MOST_OF_AN_ERROR = 20_000
"""Characters. An error can have a whole answer in it, and is kept with its item, its event and its run."""


def short(error: str | None) -> str | None:
    """An error as it is kept: of one that is too long the beginning, and how much is not there."""
    if error is None or len(error) <= MOST_OF_AN_ERROR:
        return error
    return f"{error[:MOST_OF_AN_ERROR]} [cut: {len(error) - MOST_OF_AN_ERROR:,} characters more]"


def clean(value: Any) -> Any:
    """The same text or JSON with U+FFFD for every character, and null for every number, that cannot be kept."""
    if isinstance(value, str):
        return _UNSTORABLE.sub("\ufffd", value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {clean(key): clean(one) for key, one in value.items()}
    return [clean(one) for one in value] if isinstance(value, list | tuple) else value
