"""Text in compressed blocks, of which a reader decompresses those it needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import zstandard

from services.retrieval.recent import Recent

SIZE = 32_768
"""Bytes of a block before compression: larger ones take less room, and longer to read one passage of."""

_LEVEL = 9
_KEPT = 64


class Blocks:
    """Bytes of any length in `NAME.zst`: blocks of `SIZE` bytes, each a Zstandard frame of its own, whose places are in
    `NAME.blocks.npy` (int64, one more than there are blocks). The last blocks read are kept, two megabytes at most.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._places = np.load(folder / f"{name}.blocks.npy", mmap_mode="r")
        path = folder / f"{name}.zst"
        # numpy refuses to map an empty file
        self._bytes = np.memmap(path, np.uint8, "r") if path.stat().st_size else np.empty(0, np.uint8)
        self._kept: Recent[int, bytes] = Recent(_KEPT)

    @staticmethod
    def write(folder: Path, name: str, parts: Iterable[bytes]) -> None:
        """Write the two files."""
        compressor = zstandard.ZstdCompressor(level=_LEVEL)
        places = [0]
        with (folder / f"{name}.zst").open("wb") as file:
            for block in _cut(parts):
                places.append(places[-1] + file.write(compressor.compress(block)))
        np.save(folder / f"{name}.blocks.npy", np.array(places, np.int64))

    def read(self, start: int, end: int) -> bytes:
        """The bytes between two offsets into what was written."""
        if start >= end:
            return b""
        first, last = start // SIZE, (end - 1) // SIZE
        whole = b"".join(self._block(number) for number in range(first, last + 1))
        return whole[start - first * SIZE : end - first * SIZE]

    def _block(self, number: int) -> bytes:
        block = self._kept.get(number)
        if block is None:
            packed = self._bytes[int(self._places[number]) : int(self._places[number + 1])].tobytes()
            block = zstandard.ZstdDecompressor().decompress(packed)
            self._kept.put(number, block)
        return block


def _cut(parts: Iterable[bytes]) -> Iterator[bytes]:
    pending = bytearray()
    for part in parts:
        pending += part
        for start in range(0, len(pending) - SIZE + 1, SIZE):
            yield bytes(pending[start : start + SIZE])
        del pending[: len(pending) // SIZE * SIZE]
    if pending:
        yield bytes(pending)
