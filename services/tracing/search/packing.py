"""Positions in as few bits as they need: those of a segment of 50 million tokens in 26."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from services.tracing.search.arrays import Packed
from services.tracing.search.kernels import pack_into
from services.tracing.tokenizer import Ids


def width_for(size: int) -> int:
    """Bits for numbers below `size`, at least 1."""
    return max(1, (size - 1).bit_length())


def pack(numbers: Ids, width: int) -> NDArray[np.uint64]:
    """Numbers below 2 ** width as the words of a Packed."""
    words = np.zeros((numbers.size * width + 63) // 64, dtype=np.uint64)
    pack_into(words, 0, numbers, width)
    return words


def packed(words: NDArray[np.uint64], size: int, width: int) -> Packed:
    """What `pack` made of `size` numbers, to be read."""
    return Packed(words, np.uint64(0), np.int64(size), np.int64(width), np.int64(0))


def packed_bytes(data: NDArray[np.uint8], width: int, shift: int) -> Packed:
    """A file of numbers of `width` bits, a multiple of 8, whose size need not be one of words."""
    whole = data.size // 8
    tail = int.from_bytes(data[8 * whole :].tobytes(), "little")
    size = data.size * 8 // width
    return Packed(data[: 8 * whole].view(np.uint64), np.uint64(tail), np.int64(size), np.int64(width), np.int64(shift))
