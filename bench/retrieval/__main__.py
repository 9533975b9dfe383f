"""Our indexes and their peers over the same vectors and queries.

Three sets: 20,000 passages of 256 words with MiniLM's vectors, and 100,000 and 1,000,000 windows of 60 words with
wordllama's, which overlap by two thirds: there is no more text here. Recall is against brute force over the same
vectors. Vectors, indexes and the package `leann` are made the first time and kept in CANDOR_HOME (`--prepare` does that
and no more, and goes on where it was stopped); what a search takes is measured in every run.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from bench.result import RESULTS, Figures, finish
from bench.retrieval import measure, published_leann
from bench.retrieval.end_to_end import end_to_end
from bench.retrieval.measure import Set
from bench.retrieval.plot import draw
from bench.retrieval.published_leann import Peer
from bench.retrieval.systems import LIMIT, RECALL, SYSTEMS, Floats
from bench.retrieval.vectors import embed, embedded, million, public, wordllama
from bench.texts import passages, questions, sentences
from services.retrieval.encoders import base
from shared.settings import candor_home, cores

_SHOWN = ("recall_at_3", "recall_at_10", "bytes_per_passage", "share_of_text", "memory_mb", "recomputed_at_10")
_TIMES = ("cpu_ms", "p50_ms", "p95_ms", "build_cpu_s")
_PASSAGES = 20_000
_LEANN = {16: 4, 64: 2}
"""Queries by search complexity of the published package: each takes minutes on two cores."""


def main() -> None:
    """Measure, print, write bench/results/retrieval.json and retrieval.svg."""
    parser = argparse.ArgumentParser(prog="python -m bench.retrieval", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="2,000 passages, and not the package leann")
    parser.add_argument("--prepare", action="store_true", help="make vectors and indexes, and measure nothing")
    arguments = parser.parse_args()
    home = candor_home()
    encoder = base.load(base.describe(base.DEFAULT, home), threads=cores())
    if arguments.quick:
        with TemporaryDirectory() as folder:
            _quick(home, Path(folder), encoder)
    else:
        _full(home, encoder, measured=not arguments.prepare)


def _quick(home: Path, folder: Path, encoder: base.Encoder) -> None:
    texts, vectors = embedded(home, encoder.card, 2000)
    queries = encoder.encode([*questions(home, 3), *sentences(texts, 20)])
    real = _passages(folder, texts, vectors, queries, public(home, encoder.card))
    _build([real])
    rows = {real.name: dict(_measured(real))}
    _report(end_to_end(real, texts, encoder, 10) | _fixed(rows, real, texts), rows, [real])


def _full(home: Path, encoder: base.Encoder, *, measured: bool) -> None:
    embed(home, encoder, _PASSAGES)
    folder = home / "bench" / "indexes"
    texts, vectors = embedded(home, encoder.card, _PASSAGES)
    asked = [*questions(home, 20), *sentences(texts, 120)]
    real = _passages(folder, texts, vectors, encoder.encode(asked), public(home, encoder.card))
    sets = [real, *_windows(home, folder, asked)]
    _build(sets)
    peer = Peer(real, published_leann.environment(home))
    peer.prepare(texts, asked, encoder.card.folder)
    if not measured:
        return
    rows = {over.name: dict(_measured(over)) for over in sets}
    best = measure.nearest(real.load(), real.queries)
    for complexity, count in _LEANN.items():
        name = f"leann {published_leann.VERSION} at {complexity}"
        rows[real.name][name] = peer.search(best, complexity, count)
        _show(real.name, name, rows[real.name][name])
    figures = end_to_end(real, texts, encoder, 60) | _fixed(rows, real, passages(home))
    _report(figures, rows, sets)


def _passages(folder: Path, texts: list[str], vectors: NDArray[np.float16], queries: Floats, trained: int) -> Set:
    """Passages with their vectors in a file."""
    count = len(vectors)
    place = folder / f"minilm-{count}"
    place.mkdir(parents=True, exist_ok=True)
    path = place / "vectors.npy"
    if not path.exists():
        np.save(path, vectors)
    return Set(f"minilm {count:,}", path, count, _bytes(texts), min(trained, count), queries, place)


def _windows(home: Path, folder: Path, asked: list[str]) -> Iterator[Set]:
    path, size = million(home)
    queries = wordllama(asked)
    there = len(np.load(path, mmap_mode="r"))
    for count in (100_000, there):
        place = folder / f"wordllama-{count}"
        yield Set(f"wordllama {count:,}", path, count, size * count // there, count // 10, queries, place)


def _build(sets: list[Set]) -> None:
    for over in sets:
        for system in SYSTEMS:
            began = time.monotonic()
            measure.alone(measure.build, system, over)
            print(f"{over.name}: {system} built or found in {time.monotonic() - began:.0f} s", flush=True)


def _measured(over: Set) -> Iterator[tuple[str, Figures]]:
    best = measure.nearest(over.load(), over.queries)
    for system in SYSTEMS:
        figures = measure.alone(measure.search, system, over, best)
        _show(over.name, system, figures)
        yield system, figures


def _fixed(rows: dict[str, dict[str, Figures]], real: Set, texts: list[str]) -> Figures:
    """The keys that stay. `leann_index_share` is that of all the texts, of which the set is a sample."""
    ours, systems = rows[real.name]["leann"], rows[real.name]
    codes, book = (real.folder / "leann").glob("*.npy"), real.folder / "leann" / "leann.codebook"
    size = sum(path.stat().st_size for path in codes) / real.passages * len(texts) + book.stat().st_size
    largest = list(rows.values())[-1]
    return {
        "leann_index_share": size / _bytes(texts),
        "leann_recall_at_3": ours["recall_at_3"],
        "leann_recall_at_10": ours["recall_at_10"],
        "leann_recomputations": ours["recomputed_at_10"],
        "leann_recomputations_p95": ours["recomputed_p95_at_10"],
        "leann_codebook_bytes": book.stat().st_size,
        "compactds_recall_at_10": largest["compactds"]["recall_at_10"],
        "compactds_cpu_ms": largest["compactds"]["cpu_ms"],
        "compactds_memory_ratio": _over(largest["faiss_hnsw"]["memory_mb"], largest["compactds"]["memory_mb"]),
        "published_leann_cpu_ms": systems.get(f"leann {published_leann.VERSION} at 64", {}).get("cpu_ms"),
    }


def _report(figures: Figures, rows: dict[str, dict[str, Figures]], sets: list[Set]) -> None:
    figures["leann_cpu_ratio"] = _over(figures["published_leann_cpu_ms"], figures["leann_cpu_ms"])
    RESULTS.mkdir(exist_ok=True)
    draw(rows, RESULTS / "retrieval.svg")
    settings: dict[str, object] = {"recompute": LIMIT, "recall": RECALL, "threads": cores()}
    settings["systems"] = {name: system.what for name, system in SYSTEMS.items()}
    settings["sets"] = {over.name: {"queries": len(over.queries), "bytes": over.bytes} for over in sets}
    finish("retrieval", figures, settings | {"rows": rows})


def _show(name: str, system: str, figures: Figures) -> None:
    table = Table(name, *_SHOWN, *_TIMES)
    values = [figures.get(key) for key in (*_SHOWN, *_TIMES)]
    table.add_row(system, *("" if value is None else f"{value:.4g}" for value in values))
    Console(width=200).print(table)


def _over(first: float | None, second: float | None) -> float | None:
    return None if first is None or not second else first / second


def _bytes(texts: list[str]) -> int:
    return sum(len(text.encode()) for text in texts)


if __name__ == "__main__":
    main()
