"""Which name an answer to a cloze question gives: a rule that knows nothing of the right one."""

from __future__ import annotations

import re

HONORIFICS = (
    "Mr", "Mrs", "Miss", "Ms", "Dr", "Doctor", "Sir", "Lady", "Lord", "Madame", "Monsieur", "Professor", "Captain",
    "Colonel", "Inspector",
)  # fmt: skip

MOST_WORDS = 4

_BEFORE = re.compile(rf"[\s_*\"'\u201c\u2018(\[]*(?:(?i:the|an?)\s+)?(?:(?:{'|'.join(HONORIFICS)})(?![^\W_])\.?\s*)*")
_WORD = re.compile(r"St\.(?=\s)|[^\W\d_]+(?:[-'\u2019][^\W\d_]+)*")
_POSSESSIVE = re.compile(r"['\u2019]s$")
_GAP = re.compile(r"\s+")


def named(said: str) -> str:
    """The leading run of at most four capitalised words; empty if the text begins otherwise.

    Opening quotes and brackets, an article and honorifics before the run are passed over. It ends at the first mark
    (but for the full stop of St., and a hyphen or apostrophe inside a word), at the first word in small letters, and
    after a possessive, whose 's is taken off. So nothing of its length comes from the right answer.
    """
    words: list[str] = []
    at = _BEFORE.match(said).end()  # type: ignore[union-attr]  # it matches nothing too
    while len(words) < MOST_WORDS and (word := _WORD.match(said, at)) and word[0][0].isupper():
        words.append(_POSSESSIVE.sub("", word[0]))
        gap = _GAP.match(said, word.end())
        if words[-1] != word[0] or gap is None:
            break
        at = gap.end()
    return " ".join(words)
