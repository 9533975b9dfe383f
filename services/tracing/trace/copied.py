"""Spans that a text has from what was just read: the prompt, or passages that were retrieved for it."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from services.tracing.trace.characters import Characters, codes

_EDGE = "\ud800"
"""Stands where no word or character goes on: half of a surrogate pair, which no valid text has."""


class Read:
    """A text that was read before another was written."""

    def __init__(self, text: str) -> None:
        self._text = text

    def has(self, words: str, *, cut: bool = False) -> bool:
        """Whether some words stand in it verbatim, and not as parts of longer ones; if the last was `cut` off, where
        whoever wrote it had to stop, it may go on."""
        if words not in self._text:
            return False
        asked = _with_edges(words)
        return (asked.removesuffix(_EDGE) if cut else asked) in self._with_edges

    @cached_property
    def _with_edges(self) -> str:
        return _with_edges(self._text)


def _with_edges(text: str) -> str:
    """A text with its edges marked, so that one search finds whole words, however often parts of words are the same.

    Whether there is an edge depends on the characters on either side alone.
    """
    points = codes(text)
    marked = np.insert(points, np.flatnonzero(~Characters(points).joined), ord(_EDGE))
    return marked.tobytes().decode("utf-32-le", "surrogatepass")
