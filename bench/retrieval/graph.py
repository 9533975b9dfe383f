"""A graph over LEANN's codes, as the paper has it, beside the scan of them: measured, and not built into the service.

The graph is that of the FAISS HNSW index which `python -m bench.retrieval --prepare` made of the same vectors, pruned
so that high degrees are kept: of a node's links the first few stay, and all those from and to the 2% of nodes that most
links lead to.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from bench.retrieval import measure
from bench.retrieval.systems import LIMIT, Floats, Leann
from bench.retrieval.vectors import million, wordllama
from bench.texts import questions
from services.retrieval.leann.codes import names
from services.retrieval.leann.quantiser import Quantiser
from shared.settings import candor_home

_LINKS = 8
_HUBS = 0.02
_AT_ONCE = 100_000

Rows = NDArray[np.int64]


def main() -> None:
    """Print the links' size, the recall of the ten best among the candidates, and the time of both."""
    parser = argparse.ArgumentParser(prog="python -m bench.retrieval.graph", description=__doc__)
    parser.add_argument("--passages", type=int, choices=(100_000, 1_000_000), default=1_000_000)
    count = parser.parse_args().passages
    home = candor_home()
    path, _ = million(home)
    place = home / "bench" / "indexes" / f"wordllama-{count}"
    queries = wordllama(questions(home, 20))
    vectors = measure.Set("", path, count, 0, 0, queries, place).load()
    best = measure.nearest(vectors, queries)
    leann = Leann(place / "leann", vectors)
    leann.open()
    _print("scan", best, queries, lambda query: leann.codes.search(query, LIMIT).rows)
    codebook = leann.codebook()
    codes, scales = (np.load(leann.folder / name) for name in names(codebook)[:2])
    graph: Any = faiss.read_index(str(place / "faiss_hnsw" / "index.faiss"))
    before = _bytes(graph)
    _prune(graph)
    print(f"links of the graph: {before / count:.1f} bytes a passage; pruned: {_bytes(graph) / count:.1f}")
    storage = _coded(codebook.quantiser, codes)
    graph.own_fields, graph.storage = False, storage
    for effort in (64, 128, 256, 512):
        search = _searching(graph, codebook.quantiser, codes, scales.astype(np.float32), effort)
        _print(f"graph, efSearch {effort}", best, queries, search)


def _prune(graph: Any) -> None:
    offsets = faiss.vector_to_array(graph.hnsw.offsets).astype(np.int64)[:-1]
    links = faiss.vector_to_array(graph.hnsw.neighbors)
    slots = np.arange(graph.hnsw.nb_neighbors(0))
    degrees = np.bincount(links[links >= 0], minlength=graph.ntotal)
    hubs = degrees >= np.quantile(degrees, 1 - _HUBS)
    for start in range(0, graph.ntotal, _AT_ONCE):
        nodes = np.arange(start, min(start + _AT_ONCE, graph.ntotal))
        places = offsets[nodes, None] + slots
        ends = links[places]
        kept = (slots < _LINKS) | hubs[nodes, None] | hubs[ends]
        # FAISS takes the first -1 for the end: what is kept moves to the front
        order = np.argsort(~kept, axis=1, kind="stable")
        links[places] = np.take_along_axis(np.where(kept, ends, -1), order, 1)
    faiss.copy_array_to_vector(links, graph.hnsw.neighbors)


def _bytes(graph: Any) -> int:
    """Of the links as compressed rows: four for a link, four for a node's place among them."""
    return 4 * int((faiss.vector_to_array(graph.hnsw.neighbors) >= 0).sum() + graph.ntotal)


def _coded(quantiser: Quantiser, codes: NDArray[np.uint8]) -> Any:
    parts, _, width = quantiser.centroids.shape
    storage = faiss.IndexPQ(parts * width, parts, 8, faiss.METRIC_INNER_PRODUCT)
    faiss.copy_array_to_vector(quantiser.centroids.astype(np.float32).ravel(), storage.pq.centroids)
    storage.is_trained = True
    storage.add_sa_codes(codes)
    return storage


def _searching(
    graph: Any, quantiser: Quantiser, codes: NDArray[np.uint8], scales: Floats, effort: int
) -> Callable[[Floats], Rows]:
    """FAISS walks by codes without their scales, so what it finds is ordered again with them."""
    settings = faiss.SearchParametersHNSW(efSearch=effort)  # type: ignore[attr-defined]
    parts = np.arange(len(quantiser.centroids))

    def search(query: Floats) -> Rows:
        tables, offset, axes = quantiser.tables(query)
        _, (rows,) = graph.search((axes / quantiser.weights)[None], effort, params=settings)
        rows = rows[rows >= 0]
        estimates = tables[parts, codes[rows]].sum(axis=1) * scales[rows] + offset
        best: Rows = rows[np.argsort(-estimates, kind="stable")[:LIMIT]]
        return best

    return search


def _print(name: str, best: Rows, queries: Floats, search: Callable[[Floats], Rows]) -> None:
    search(queries[0])
    hits, times = [], []
    for query, right in zip(queries, best.tolist(), strict=True):
        began = time.process_time()
        rows = search(query)
        times.append(time.process_time() - began)
        hits.append(len({*rows.tolist()} & {*right}) / len(right))
    print(f"{name}: {statistics.mean(hits):.3f} of the 10 best among {LIMIT}, {1000 * statistics.median(times):.1f} ms")


if __name__ == "__main__":
    main()
