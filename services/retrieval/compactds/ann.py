"""The index in memory of one segment's vectors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from services.retrieval.ranking import Rows

FLAT_BELOW = 50_000
"""Fewer vectors than this are scanned whole: that is exact, and as fast as an inverted file."""

NPROBE = 64
"""Lists read when a request does not say."""

REFINED = 4
"""An inverted file, whose codes of 4 bits are coarse, finds so many times the candidates asked for: to score them
exactly costs little, and of a million vectors it finds 0.97 of the ten best for 0.93."""

FILE = "ann.faiss"

_TRAIN_PER_LIST = 64
_ADD_AT_ONCE = 65_536


@dataclass(frozen=True)
class Reach:
    """How far to search: for the best `count`, in `nprobe` lists of an inverted file (None: NPROBE)."""

    count: int
    nprobe: int | None = None


def build(vectors: NDArray[np.float16], folder: Path, flat_below: int = FLAT_BELOW) -> None:
    """Write the inverted file of (n, d) vectors, d a multiple of 4, if there are enough of them for one.

    IVF-PQ FastScan with inner product: nlist the power of two at or below 2 sqrt(n) (CompactDS: 65,536 for 1.85 G),
    and a 4-bit code for each 4 dimensions.
    """
    count, dimension = vectors.shape
    if count < flat_below:
        return
    lists = 1 << int(math.log2(2 * math.sqrt(count)))
    # FAISS keeps only a pointer to the quantizer; Python must hold it as long as the index lives
    quantizer = faiss.IndexFlatIP(dimension)
    index = faiss.IndexIVFPQFastScan(quantizer, dimension, lists, dimension // 4, 4, faiss.METRIC_INNER_PRODUCT)
    sample = np.random.default_rng(0).choice(count, min(count, _TRAIN_PER_LIST * lists), replace=False)
    index.train(np.asarray(vectors[np.sort(sample)], np.float32))
    for start in range(0, count, _ADD_AT_ONCE):
        index.add(np.asarray(vectors[start : start + _ADD_AT_ONCE], np.float32))
    faiss.write_index(index, str(folder / FILE))


def load(vectors: NDArray[np.float16], folder: Path) -> Any:
    """The FAISS index of a segment: the inverted file that was built, or else a scan of the vectors as they are."""
    path = folder / FILE
    if path.exists():
        return faiss.read_index(str(path))
    index = faiss.IndexScalarQuantizer(vectors.shape[1], faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    index.add(np.asarray(vectors, np.float32))
    return index


def search(
    index: Any, queries: NDArray[np.float32], reach: Reach, allowed: Rows = None
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Scores and rows of the best for each of (q, d) queries; a row of -1 fills up when there are fewer.

    Of `allowed` only what is True is found. The index is shared by all requests: what a request sets goes with the
    call.
    """
    given: dict[str, Any] = {}
    if allowed is not None:
        bits = np.packbits(allowed, bitorder="little")
        given["sel"] = faiss.IDSelectorBitmap(bits)  # type: ignore[call-arg, arg-type]
    count = reach.count
    if inverted(index):
        # the few that pass a filter may lie far from the query: every list is read
        selective = allowed is not None and np.count_nonzero(allowed) < len(allowed) / 2
        lists = min(reach.nprobe or (index.nlist if selective else NPROBE), index.nlist)
        count *= REFINED
        parameters: Any = faiss.SearchParametersIVF(nprobe=lists, **given)  # type: ignore[call-arg]
    else:
        parameters = faiss.SearchParameters(**given)
    scores, rows = index.search(queries, min(count, index.ntotal), params=parameters)
    return scores, rows


def inverted(index: Any) -> bool:
    """Whether it is an inverted file, and not a scan of the vectors as they are."""
    return isinstance(index, faiss.IndexIVF)
