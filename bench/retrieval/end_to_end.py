"""LEANN as it is searched: with the texts embedded again."""

from __future__ import annotations

import time

from bench.result import Figures
from bench.retrieval.measure import Set, quantiles
from bench.retrieval.systems import LIMIT, RECALL, Floats, Leann
from services.retrieval.encoders.base import Encoder
from services.retrieval.leann.recompute import Aim
from services.retrieval.leann.search import candidates, exact
from services.retrieval.ranking import Ranking


def end_to_end(over: Set, texts: list[str], encoder: Encoder, count: int) -> Figures:
    """Times of some queries for 10, with nothing kept from one to the next: CPU of all threads, and wall."""
    leann = Leann(over.folder / "leann", over.load())
    leann.open()
    walls, scans = [], []

    def embed(some: Ranking) -> Floats:
        return encoder.encode_alone([texts[row] for row in some.rows.tolist()])

    chosen = over.queries[:: max(1, len(over.queries) // count)]
    cpu = time.process_time()
    for query in chosen:
        began = time.perf_counter()
        found, deviations = candidates([leann.codes], query[None], LIMIT)
        scans.append(time.perf_counter() - began)
        exact(found[0], deviations[0], query, Aim(10, RECALL), embed)
        walls.append(time.perf_counter() - began)
    cpu = time.process_time() - cpu
    p50, p95 = quantiles([1000 * wall for wall in walls])
    return {
        "leann_cpu_ms": 1000 * cpu / len(chosen),
        "leann_scan_ms": 1000 * quantiles(scans)[0],
        "leann_p50_ms": p50,
        "leann_p95_ms": p95,
    }
