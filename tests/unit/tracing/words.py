"""The specification of words and characters in a text, a character at a time."""

from __future__ import annotations

import unicodedata

APOSTROPHES = "'\u2019"


def begins_word(text: str, at: int) -> bool:
    """Whether no word goes on across this place: one with an apostrophe between its characters is one."""
    if at in (0, len(text)):
        return True
    if at > 0 and joined(text[at - 1], text[at]):
        return False
    if text[at] in APOSTROPHES:
        return not (at < len(text) - 1 and joined(text[at - 1], text[at + 1]))
    return not (at > 1 and text[at - 1] in APOSTROPHES and joined(text[at - 2], text[at]))


def ends_word(text: str, at: int) -> bool:
    """The same, but a word may end before or after its apostrophe."""
    return at in (0, len(text)) or not joined(text[at - 1], text[at])


def joined(before: str, after: str) -> bool:
    """Whether two neighbouring characters are of one word, or of one character as a reader sees it."""
    if extends(after) or before == "\u200d":
        return True
    return in_word(before) and in_word(after) and not (unspaced(before) or unspaced(after))


def in_word(character: str) -> bool:
    return character.isalnum() or character == "_" or unicodedata.category(character)[0] == "M"


def extends(character: str) -> bool:
    """Combining marks, joiners and variation selectors, and the skin tones of emoji."""
    return unicodedata.category(character) in ("Mn", "Me", "Mc", "Cf") or "\U0001f3fb" <= character <= "\U0001f3ff"


def unspaced(character: str) -> bool:
    """Of a script that writes no spaces between words: each character may begin one."""
    return unicodedata.east_asian_width(character) in ("W", "F") or "\u0e00" <= character <= "\u0eff"
