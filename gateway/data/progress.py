"""How work reports what it is at."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""`progress(what, done, total)`: bytes for downloads, steps otherwise; total 0: not known; done == total: finished."""


def silent(what: str, done: int, total: int) -> None:
    """For callers that show nothing."""
