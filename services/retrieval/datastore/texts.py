"""Long strings in compressed blocks, read one or a part of one at a time."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from services.retrieval.datastore.blocks import Blocks
from services.retrieval.datastore.strings import Strings


class Texts(Strings):
    """Strings one after the other as UTF-8 in compressed blocks, with their byte offsets in `NAME.offsets.npy` (int64,
    one more than there are strings)."""

    def __init__(self, folder: Path, name: str) -> None:
        self._offsets = np.load(folder / f"{name}.offsets.npy", mmap_mode="r")
        self._blocks = Blocks(folder, name)

    @staticmethod
    def write(folder: Path, name: str, strings: Iterable[str]) -> None:
        """Write the files. Raises UnicodeEncodeError for a lone surrogate."""
        offsets = [0]

        def encoded(string: str) -> bytes:
            written = string.encode()
            offsets.append(offsets[-1] + len(written))
            return written

        Blocks.write(folder, name, map(encoded, strings))
        np.save(folder / f"{name}.offsets.npy", np.array(offsets, np.int64))

    def part(self, start: int, end: int) -> str:
        """The text between two byte offsets of what was written, which must not cut a character."""
        return self._blocks.read(start, end).decode()
