"""The codes of one segment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numba
import numpy as np
from numpy.typing import NDArray

from services.retrieval.leann.codebook import Codebook
from services.retrieval.leann.moments import Moments
from services.retrieval.leann.nearest import Floats
from services.retrieval.ranking import Rows

PREFIX = "leann."
"""How the names of the files begin, which go on with the codebook's id: codes of a new codebook can lie beside those of
the old one until the manifest names them."""

_Function = TypeVar("_Function", bound=Callable[..., Any])
_compiled: Callable[[_Function], _Function] = numba.njit(nogil=True, cache=True)


class Estimates(NamedTuple):
    """The best rows of a segment for one query: (c,) `rows`, int64, and the estimates of their `scores`, float64,
    descending; and the `moments` of all that were estimated."""

    rows: NDArray[np.int64]
    scores: NDArray[np.float64]
    moments: Moments


class Codes:
    """All codes of a segment in memory, searched by a scan."""

    def __init__(self, folder: Path, codebook: Codebook) -> None:
        codes, scales, errors = (np.load(folder / name) for name in names(codebook))
        self._quantiser = codebook.quantiser
        self._codes: NDArray[np.uint8] = codes
        self._scales: Floats = scales.astype(np.float32)
        self._errors: Floats = errors

    @property
    def error(self) -> float:
        """The mean square of what the codes lose of a vector."""
        return float(self._errors.sum())

    @staticmethod
    def write(folder: Path, codebook: Codebook, vectors: NDArray[Any]) -> None:
        """Write the codes of a segment's (n, d) vectors, their scales, and how far they are off on each axis."""
        arrays: tuple[NDArray[Any], ...] = codebook.quantiser.encode(vectors)
        for name, array in zip(names(codebook), arrays, strict=True):
            np.save(folder / name, array)

    def search(self, query: Floats, count: int, alive: Rows = None, allowed: Rows = None) -> Estimates:
        """The best `count` for a (d,) query by estimated score; equal ones in the order of their rows.

        Rows that are not `alive` count for nothing; those that are not `allowed`, of the others, are not found.
        """
        tables, offset, axes = self._quantiser.tables(query)
        estimates = scan(self._codes, tables) * self._scales + offset
        counted = estimates if alive is None else estimates[alive]
        moments = Moments.of(counted, float(axes**2 @ self._errors), len(estimates))
        best = np.arange(len(estimates)) if allowed is None else np.flatnonzero(allowed)
        if len(best) > count:
            best = best[estimates[best] >= np.partition(estimates[best], -count)[-count]]
        best = best[np.argsort(-estimates[best], kind="stable")[:count]]
        return Estimates(best, estimates[best].astype(np.float64), moments)


def names(codebook: Codebook) -> tuple[str, str, str]:
    """The files of the codes, their scales and their errors, as `Quantiser.encode` gives them."""
    stem = f"{PREFIX}{codebook.id}"
    return f"{stem}.codes.npy", f"{stem}.scales.npy", f"{stem}.errors.npy"


@_compiled
def scan(codes: NDArray[np.uint8], tables: Floats) -> Floats:
    """(n,) sums over the parts of (n, m) codes of what (m, 256) tables say of each.

    Four rows go on at once, since each addition has to wait for the last one to the same sum.
    """
    rows, parts = codes.shape
    fours = rows - rows % 4
    sums = np.zeros(rows, np.float32)
    for row in range(0, fours, 4):
        a = b = c = d = np.float32(0)
        for part in range(parts):
            a += tables[part, codes[row, part]]
            b += tables[part, codes[row + 1, part]]
            c += tables[part, codes[row + 2, part]]
            d += tables[part, codes[row + 3, part]]
        sums[row], sums[row + 1], sums[row + 2], sums[row + 3] = a, b, c, d
    for row in range(fours, rows):
        for part in range(parts):
            sums[row] += tables[part, codes[row, part]]
    return sums
