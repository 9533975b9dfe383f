"""Where words and characters begin and end in a text, for all its places at once.

Categories of characters are looked up once a process: `_KINDS` is filled as characters are met.
"""

from __future__ import annotations

import unicodedata

import numpy as np
from numpy.typing import NDArray

Flags = NDArray[np.bool_]
Codes = NDArray[np.uint32]
Kinds = NDArray[np.uint8]

_KNOWN, _WORD, _EXTENDS, _UNSPACED, _SPACE, _JOINER, _APOSTROPHE = (1 << bit for bit in range(7))
_KINDS: Kinds = np.zeros(0x110000, dtype=np.uint8)


def codes(text: str) -> Codes:
    """Its code points. Raises UnicodeEncodeError for a lone surrogate."""
    return np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)


class Characters:
    """What can be asked of the places of a text: place p lies before code point p, the last one at its end."""

    def __init__(self, points: Codes) -> None:
        self._kinds = _kinds(points)
        self.joined = _between(self._kinds[:-1], self._kinds[1:])
        """(places,): whether a word, or a character as a reader sees it, goes on across a place."""

    @property
    def spaces(self) -> Flags:
        """(code points,): which are white space."""
        return self._are(_SPACE)

    @property
    def contracted(self) -> Flags:
        """(code points,): which are the rest of a word such as "don't", to which no one would cut it."""
        kinds, apostrophes = self._kinds, self._are(_APOSTROPHE)
        around = np.zeros(kinds.size, dtype=np.bool_)
        around[1:-1] = _between(kinds[:-2], kinds[2:])[1:-1]
        found = np.where(apostrophes, around, False)
        found[2:] |= ~apostrophes[2:] & apostrophes[1:-1] & around[1:-1]
        return found

    def _are(self, kind: int) -> Flags:
        found: Flags = (self._kinds & kind) != 0
        return found


def _between(before: Kinds, after: Kinds) -> Flags:
    """Whether neighbours are of one word or one character; with False at either end, (pairs + 2,)."""
    extended: Flags = ((after & _EXTENDS) | (before & _JOINER)) != 0
    words: Flags = ((before & after & _WORD) != 0) & (((before | after) & _UNSPACED) == 0)
    return np.concatenate(([False], extended | words, [False]))


def _kinds(points: Codes) -> Kinds:
    kinds = _KINDS[points]
    if kinds.all():
        return kinds
    for point in np.unique(points[kinds == 0]).tolist():
        # the same whoever writes it first: threads need no lock
        _KINDS[point] = _kind(chr(point))
    return _KINDS[points]


def _kind(character: str) -> int:
    category = unicodedata.category(character)
    word = character.isalnum() or character == "_" or category[0] == "M"
    # combining marks, joiners and variation selectors, and the skin tones of emoji
    extends = category in ("Mn", "Me", "Mc", "Cf") or "\U0001f3fb" <= character <= "\U0001f3ff"
    # of a script that writes no spaces between words: each character may begin one
    unspaced = unicodedata.east_asian_width(character) in ("W", "F") or "\u0e00" <= character <= "\u0eff"
    flags = (word, extends, unspaced, character.isspace(), character == "\u200d", character in "'\u2019")
    return _KNOWN | sum(flag << bit for bit, flag in enumerate(flags, 1))
