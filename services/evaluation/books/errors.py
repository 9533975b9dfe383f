"""A text from which no book can be made."""

from __future__ import annotations


class BadBook(ValueError):
    """What is wrong with the text, and what to do about it."""
