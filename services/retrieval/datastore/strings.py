"""Many strings in one file, read one at a time from a memory map."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import numba
import numpy as np
from numpy.typing import NDArray

_Function = TypeVar("_Function", bound=Callable[..., Any])
_compiled: Callable[[_Function], _Function] = numba.njit(nogil=True, cache=True)


class Strings:
    """Strings packed as UTF-8 in `NAME.bin`, with their byte offsets (int64, one more than there are strings) in
    `NAME.offsets.npy`. Nothing is read until asked for, so that opening is as fast for a million as for ten.
    """

    def __init__(self, folder: Path, name: str) -> None:
        # as plain arrays, of which a part is had in a tenth of the time that it takes of a memory map
        self._offsets = np.asarray(np.load(folder / f"{name}.offsets.npy", mmap_mode="r"))
        path = folder / f"{name}.bin"
        # numpy refuses to map an empty file
        self._bytes = np.asarray(np.memmap(path, np.uint8, "r")) if path.stat().st_size else np.empty(0, np.uint8)

    @staticmethod
    def write(folder: Path, name: str, strings: Iterable[str]) -> None:
        """Write the two files. Raises UnicodeEncodeError for a lone surrogate."""
        offsets = [0]
        with (folder / f"{name}.bin").open("wb") as file:
            for string in strings:
                offsets.append(offsets[-1] + file.write(string.encode()))
        np.save(folder / f"{name}.offsets.npy", np.array(offsets, np.int64))

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __getitem__(self, index: int) -> str:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self.part(int(self._offsets[index]), int(self._offsets[index + 1]))

    def part(self, start: int, end: int) -> str:
        """The text between two byte offsets of the file, which must not cut a character."""
        return self._bytes[start:end].tobytes().decode()

    def find(self, string: str) -> int | None:
        """The position of a string among strings that were written in ascending order, or None."""
        position = _place(self._bytes, self._offsets, np.frombuffer(string.encode(), np.uint8))
        return position if position < len(self) and self[position] == string else None


@_compiled
def _place(packed: NDArray[np.uint8], offsets: NDArray[np.int64], wanted: NDArray[np.uint8]) -> int:
    """How many of the strings, which ascend, are less than the one wanted. UTF-8 has the order of the code points."""
    low, high = 0, len(offsets) - 1
    while low < high:
        middle = (low + high) // 2
        start, end = offsets[middle], offsets[middle + 1]
        place = 0
        while place < min(end - start, len(wanted)) and packed[start + place] == wanted[place]:
            place += 1
        if place == len(wanted) or (start + place < end and packed[start + place] > wanted[place]):
            high = middle
        else:
            low = middle + 1
    return low
