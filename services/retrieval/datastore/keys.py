"""Finding many documents of a segment by their ids at once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FILE = "keys.npy"
_KEY = np.dtype([("digest", "<u8"), ("row", "<i4")])

Digests = NDArray[np.uint64]


class Keys:
    """The digests of a segment's document ids in ascending order, with the documents' rows, mapped into memory.

    A digest has 64 bits: of a million documents against as many, one pair in eighteen million such comparisons agrees
    without being the same, and whoever needs certainty compares the ids.
    """

    def __init__(self, folder: Path) -> None:
        self._keys: NDArray[Any] = np.load(folder / FILE, mmap_mode="r")

    @staticmethod
    def write(folder: Path, ids: Iterable[str]) -> None:
        """Write the file for ids in order of row."""
        found = digests(list(ids))
        order = np.argsort(found, kind="stable")
        keys = np.empty(len(found), _KEY)
        keys["digest"], keys["row"] = found[order], order
        np.save(folder / FILE, keys)

    @property
    def digests(self) -> Digests:
        """All, ascending."""
        return np.asarray(self._keys["digest"])

    def rows(self, wanted: Digests) -> NDArray[np.int32]:
        """The rows of the documents whose ids have these digests, in no order."""
        mine = self.digests
        places = np.searchsorted(mine, wanted)
        places[places == len(mine)] = 0
        hit = mine[places] == wanted if len(mine) else np.zeros(len(wanted), bool)
        rows: NDArray[np.int32] = np.asarray(self._keys["row"][places[hit]])
        return rows


def digests(ids: Sequence[str]) -> Digests:
    """(n,) digests of ids."""
    joined = b"".join(hashlib.blake2b(identity.encode(), digest_size=8).digest() for identity in ids)
    return np.frombuffer(joined, "<u8").astype(np.uint64)
