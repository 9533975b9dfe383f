"""One system over one set of vectors, built and searched in processes of its own."""

from __future__ import annotations

import json
import shutil
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.result import Figures
from bench.retrieval.systems import SYSTEMS, Floats, System, Vectors

T = TypeVar("T")


class Set(NamedTuple):
    """Vectors in a file, of which the first `passages` are searched; the bytes of their texts; how many of the first
    ones a codebook may be trained on; (q, d) queries; and a folder for the indexes."""

    name: str
    vectors: Path
    passages: int
    bytes: int
    trained: int
    queries: Floats
    folder: Path

    def load(self) -> Vectors:
        """A memory map of the vectors."""
        vectors: Vectors = np.load(self.vectors, mmap_mode="r")[: self.passages]
        return vectors


def alone(function: Callable[..., T], *arguments: object) -> T:
    """The result of a function in a new process: its memory and its threads are its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def build(system: str, over: Set) -> None:
    """Build an index, unless it was built before; `build.json` beside it has what that took."""
    folder = over.folder / system
    if (folder / "build.json").exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    vectors = over.load()
    wall, cpu = time.perf_counter(), time.process_time()
    SYSTEMS[system](folder, vectors).build(over.trained)
    took = {"build_s": time.perf_counter() - wall, "build_cpu_s": time.process_time() - cpu}
    (folder / "build.json").write_text(json.dumps(took))


def search(system: str, over: Set, best: NDArray[np.int64]) -> Figures:
    """Recall against (q, 10) best rows; times; what the index takes on disk and in memory."""
    folder = over.folder / system
    built: dict[str, float] = json.loads((folder / "build.json").read_text())
    vectors = over.load()
    before = anonymous()
    index = SYSTEMS[system](folder, vectors)
    index.open()
    index.search(over.queries[0], 10)
    memory = anonymous() - before
    size = sum(path.stat().st_size for path in folder.iterdir() if path.name != "build.json")
    figures: Figures = {
        "passages": over.passages,
        "bytes_per_passage": size / over.passages,
        "share_of_text": size / over.bytes,
        "memory_mb": memory / 1e6,
        **built,
    }
    for k in (3, 10):
        figures |= _asked(index, over.queries, best, k)
    return figures


def nearest(vectors: Vectors, queries: Floats, count: int = 10) -> NDArray[np.int64]:
    """(q, count) rows of the best by exact inner product: brute force."""
    scores = np.empty((len(queries), 0), np.float32)
    rows = np.empty((len(queries), 0), np.int64)
    for start in range(0, len(vectors), 100_000):
        block = queries @ vectors[start : start + 100_000].astype(np.float32).T
        scores = np.hstack([scores, block])
        rows = np.hstack([rows, np.broadcast_to(np.arange(start, start + block.shape[1]), block.shape)])
        kept = np.argpartition(-scores, count - 1, axis=1)[:, :count]
        kept = np.take_along_axis(kept, np.argsort(-np.take_along_axis(scores, kept, 1), axis=1), 1)
        scores, rows = np.take_along_axis(scores, kept, 1), np.take_along_axis(rows, kept, 1)
    return rows


def quantiles(times: Sequence[float]) -> tuple[float, float]:
    """Median and 95th percentile."""
    return statistics.median(times), statistics.quantiles(times, n=20)[-1]


def _asked(index: System, queries: Floats, best: NDArray[np.int64], k: int) -> Figures:
    hits, counts, walls = [], [], []
    cpu = time.process_time()
    for query, right in zip(queries, best[:, :k].tolist(), strict=True):
        began = time.perf_counter()
        answer = index.search(query, k)
        walls.append(1000 * (time.perf_counter() - began))
        hits.append(len({*answer.rows} & {*right}) / k)
        counts.append(answer.recomputed)
    cpu = time.process_time() - cpu
    figures: Figures = {f"recall_at_{k}": statistics.mean(hits)}
    if any(counts):
        figures |= {f"recomputed_at_{k}": statistics.mean(counts), f"recomputed_p95_at_{k}": quantiles(counts)[1]}
    if k == 10:
        p50, p95 = quantiles(walls)
        figures |= {"cpu_ms": 1000 * cpu / len(queries), "p50_ms": p50, "p95_ms": p95}
    return figures


def anonymous() -> int:
    """Bytes of this process's own memory: without the files it maps, which are the system's to keep or not."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (kilobytes,) = [line.split()[1] for line in lines if line.startswith("RssAnon:")]
    return int(kilobytes) * 1024
