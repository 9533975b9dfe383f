"""The index in memory of one segment's vectors."""

from __future__ import annotations

import math
import sys
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

SCANNED = 10_000
"""So many vectors that a filter leaves are scored one by one, whatever the index."""

FILE = "ann.faiss"

_MORE = 4
"""So many times the candidates are taken by their codes when a filter leaves many vectors."""

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
    index: Any, exact: NDArray[np.float16], queries: NDArray[np.float32], reach: Reach, allowed: Rows = None
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Scores and rows of the best for each of (q, d) queries; a row of -1 fills up when there are fewer.

    `exact` are the (n, d) vectors of the index. Of `allowed` only what is True is found: if it is few, all of it is
    scored; if it is many, `_select`. The index is shared by all requests: what a request sets goes with the call.
    """
    if allowed is None:
        return _search(index, queries, reach.count, reach.nprobe or NPROBE)
    left = np.flatnonzero(allowed)
    if left.size <= SCANNED:
        return _scan(exact, left, queries, reach.count)
    return _select(index, exact, queries, reach, allowed)


def _search(
    index: Any, queries: NDArray[np.float32], count: int, nprobe: int, selector: Any = None
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    given = {} if selector is None else {"sel": selector}
    if isinstance(index, faiss.IndexIVF):
        parameters: Any = faiss.SearchParametersIVF(nprobe=min(nprobe, index.nlist), **given)  # type: ignore[call-arg]
    else:
        parameters = faiss.SearchParameters(**given)
    scores, rows = index.search(queries, min(count, index.ntotal), params=parameters)
    return scores, rows


def _select(
    index: Any, exact: NDArray[np.float16], queries: NDArray[np.float32], reach: Reach, allowed: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """As `search`, by the index, which passes over what is not allowed.

    Every list is read unless the request says how many: what a filter leaves may lie far from the query. It may also
    lie close together, where codes tell little apart: so more is taken by the codes, and ordered by the vectors.
    """
    bits = np.packbits(allowed, bitorder="little")
    selector = faiss.IDSelectorBitmap(bits)  # type: ignore[call-arg, arg-type]
    lists = reach.nprobe or sys.maxsize
    _, found = _search(index, queries, _MORE * reach.count, lists, selector)
    scores = np.full((len(queries), reach.count), -np.inf, np.float32)
    rows = np.full((len(queries), reach.count), -1, np.int64)
    for number, query in enumerate(queries):
        best, kept = _scan(exact, np.sort(found[number][found[number] >= 0]), query[None], reach.count)
        scores[number, : kept.shape[1]], rows[number, : kept.shape[1]] = best, kept
    return scores, rows


def _scan(
    exact: NDArray[np.float16], rows: NDArray[np.int64], queries: NDArray[np.float32], count: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """As `search`, by the scores of all these rows."""
    kept = min(count, len(rows))
    scores = np.einsum("qd,nd->qn", queries, exact[rows].astype(np.float32))
    best = np.argsort(-scores, axis=1, kind="stable")[:, :kept]
    return np.take_along_axis(scores, best, axis=1), rows[best]
