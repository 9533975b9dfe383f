"""How much of a text is repetition: table A1 of Gopher (Rae et al. 2021)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

TOP_GRAMS = {2: 0.20, 3: 0.18, 4: 0.16}
"""By n: the share of characters that the most frequent n-gram may make up."""

REPEATED_GRAMS = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}
"""By n: the share of characters that may stand in n-grams that occur more than once."""

_paragraph_break = re.compile(r"\n\s*\n")


def repetition(text: str) -> bool:
    """Whether a text repeats lines, paragraphs or n-grams of words beyond the published shares.

    Shares of n-grams are of the characters of all words; a character that several repeated n-grams cover counts once.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    paragraphs = [part.strip() for part in _paragraph_break.split(text) if part.strip()]
    words = text.split()
    return (
        _repeats(lines)
        or _repeats(paragraphs)
        or any(top_share(words, n) > limit for n, limit in TOP_GRAMS.items())
        or any(repeated_share(words, n) > limit for n, limit in REPEATED_GRAMS.items())
    )


def top_share(words: Sequence[str], n: int) -> float:
    """The share of characters that the n-gram with most of them makes up, if it occurs more than once."""
    counts = Counter(zip(*(words[place:] for place in range(n)), strict=False))
    most = max((count * sum(map(len, gram)) for gram, count in counts.items() if count > 1), default=0)
    return most / max(sum(map(len, words)), 1)


def repeated_share(words: Sequence[str], n: int) -> float:
    """The share of characters in n-grams that occur more than once."""
    grams = list(zip(*(words[place:] for place in range(n)), strict=False))
    counts = Counter(grams)
    covered, end = 0, 0
    for place, gram in enumerate(grams):
        if counts[gram] > 1:
            covered += sum(map(len, words[max(place, end) : place + n]))
            end = place + n
    return covered / max(sum(map(len, words)), 1)


def _repeats(parts: Sequence[str]) -> bool:
    """Over 30% of the parts, or parts with over 20% of the characters, were there before."""
    counts = Counter(parts)
    again = sum(count - 1 for count in counts.values())
    characters = sum((count - 1) * len(part) for part, count in counts.items())
    return again > 0.3 * len(parts) or characters > 0.2 * sum(map(len, parts))
