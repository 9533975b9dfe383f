"""The first answers after a start: files taken out of the system's cache, and how much of them is in it."""

from __future__ import annotations

import ctypes
import mmap
import os
from pathlib import Path
from typing import Any

import numpy as np

from bench.result import Figures
from bench.tracing import ours
from bench.tracing.compare import MOST, Asked, quantiles
from bench.tracing.indexes import Index
from bench.tracing.peer import Peer


def first_answers(small: Index, index: Index, peer: Peer, asked: Asked) -> Figures:
    """Of processes that have opened an index and asked nothing of it, none of its files being in the cache.

    Ours has answered from the small index before, so that its code is compiled. `faults` are how often the disk was
    waited for, `cold_resident` is the largest share of an index that stayed in the cache all the same.
    """
    spans: list[Any] = []
    traces: list[Any] = []
    theirs: list[Any] = []
    resident: list[float] = []
    for ids, text, prompt in asked:
        for into, operation, arguments in (
            (spans, "spans", {"ids": ids, "max_count": MOST}),
            (traces, "trace", {"text": text, "prompt": prompt}),
        ):
            into.append(_ours(small, index, operation, arguments, resident))
        with peer.process() as worker:
            peer.open(worker, index.peer, index.segments, prefetch=True)
            resident.append(evict(index.peer))
            theirs.append(worker.ask("spans", ids=ids, max_count=MOST))
    figures: Figures = {"cold_resident": max(resident)}
    for name, answers in (("cold_spans", spans), ("cold_trace", traces), ("peer_cold_spans", theirs)):
        figures[f"{name}_p50_ms"], figures[f"{name}_p95_ms"] = quantiles([each["wall"] for each in answers])
        figures[f"{name}_faults"], _ = quantiles([each["faults"] for each in answers])
        figures[f"{name}_read_mb"], _ = quantiles([each["read"] / 1e6 for each in answers])
    return figures


def _ours(small: Index, index: Index, operation: str, arguments: dict[str, Any], resident: list[float]) -> Any:
    with ours.process() as worker:
        worker.ask("open", folder=str(small.ours))
        worker.ask(operation, **arguments)
        worker.ask("open", folder=str(index.ours))
        resident.append(evict(index.ours))
        return worker.ask(operation, **arguments)


def evict(folder: Path) -> float:
    """Drop the files of a folder from the cache; the share of them that stays.

    What a process has touched through a map of its own stays until that process ends: evict before the first query.
    The cache of a disk's controller, or of the host of a virtual machine, is out of reach.
    """
    paths = [path for path in folder.rglob("*") if path.is_file()]
    os.sync()
    for path in paths:
        file = os.open(path, os.O_RDONLY)
        try:
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(file)
    there = [cached(path) for path in paths]
    return sum(pages for pages, _ in there) / max(1, sum(of for _, of in there))


def cached(path: Path) -> tuple[int, int]:
    """How many of a file's pages are in the cache, and how many it has."""
    size = path.stat().st_size
    if not size:
        return 0, 0
    pages = -(-size // mmap.PAGESIZE)
    view = np.memmap(path, dtype=np.uint8, mode="r")
    state = (ctypes.c_ubyte * pages)()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mincore(ctypes.c_void_p(view.ctypes.data), ctypes.c_size_t(size), state):
        raise OSError(ctypes.get_errno(), f"mincore {path}")
    return sum(page & 1 for page in bytes(state)), pages
