"""What is left out of a datastore, and why."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Notice:
    """One sentence or two on what is left out. `owner` is whose data it tells of, which only who may know of that
    owner's data is to read; None for what is no owner's."""

    text: str
    owner: str | None = None
