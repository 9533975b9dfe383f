"""Duplicates among the documents of one owner.

Never between owners: what an owner's data is must not depend on whose other data there is, or leaving an owner out
would not give the datastore that was built without it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from services.retrieval.datastore.ingest.grams import Grams, jaccard

N = 5
THRESHOLD = 0.8

Kind = Literal["exact duplicate", "near-duplicate"]


def duplicates(
    digests: Sequence[bytes],
    bands: NDArray[np.uint64],
    grams: Callable[[int], Grams],
    removable: Sequence[bool],
) -> dict[int, Kind]:
    """Which documents are left out, by their number, and why.

    In order, a removable document is left out if an earlier one that stays has the same digest, or a Jaccard
    similarity of 5-grams of at least 0.8 to it. `bands[i]` are the MinHash bands of document i, which decide what is
    compared; `grams(i)` is asked for only then. An empty set is no near-duplicate of anything.
    """
    found: dict[int, Kind] = {}
    exact: set[bytes] = set()
    shared = _shared(bands)
    near: dict[tuple[int, int], list[int]] = defaultdict(list)
    for number, digest in enumerate(digests):
        keys = [(int(band), int(bands[number, band])) for band in np.flatnonzero(shared[number])]
        if removable[number]:
            if digest in exact:
                found[number] = "exact duplicate"
                continue
            own = grams(number) if keys else None
            others = sorted({other for key in keys for other in near[key]})
            if own is not None and any(jaccard(own, grams(other)) >= THRESHOLD for other in others):
                found[number] = "near-duplicate"
                continue
        exact.add(digest)
        for key in keys:
            near[key].append(number)
    return found


def _shared(bands: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """For each document and band, whether another document has the same: most have none, and need no table."""
    shared = np.zeros(bands.shape, bool)
    for band, column in enumerate(bands.T):
        order = np.argsort(column, kind="stable")
        same = column[order[1:]] == column[order[:-1]]
        shared[order[1:][same], band] = True
        shared[order[:-1][same], band] = True
    return shared
