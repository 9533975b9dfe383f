"""Spans that a text has from what was just read: the prompt, or passages that were retrieved for it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from services.tracing.trace.characters import Characters, Flags, codes


class Read:
    """A text that was read before another was written."""

    def __init__(self, text: str) -> None:
        self._text = text

    def has(self, words: str, *, cut: bool = False) -> bool:
        """Whether some words stand in it verbatim, and not as parts of longer ones; if the last was `cut` off, where
        whoever wrote it had to stop, it may go on."""
        return any(
            not self._joined[start] and (cut or not self._joined[start + len(words)]) for start in self._places(words)
        )

    @cached_property
    def _joined(self) -> Flags:
        return Characters(codes(self._text)).joined

    def _places(self, words: str) -> Iterator[int]:
        start = self._text.find(words)
        while start >= 0:
            yield start
            start = self._text.find(words, start + 1)
