"""Tokens as terms of a search for relevance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def fold(pieces: Sequence[bytes]) -> tuple[NDArray[np.uint32], int]:
    """The term of each token, and how many there are: "Paris", " Paris" and " paris" are one; 0 is all that is no word.

    Where tokens are bytes, terms are letters, and relevance says little.
    """
    numbers: dict[str | bytes, int] = {"": 0}
    table = np.zeros(len(pieces), dtype=np.uint32)
    for identity, piece in enumerate(pieces):
        try:
            text = piece.decode("utf-8").strip().casefold()
            folded: str | bytes = text if any(character.isalnum() for character in text) else ""
        except UnicodeDecodeError:
            folded = piece
        table[identity] = numbers.setdefault(folded, len(numbers))
    return table, len(numbers)
