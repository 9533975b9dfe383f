"""What bench.retrieval measures with."""

from pathlib import Path

import numpy as np
import pytest

from bench.retrieval.measure import Set, build, nearest, search
from bench.retrieval.systems import LIMIT


def test_brute_force_in_blocks_gives_the_best_rows_in_order() -> None:
    random = np.random.default_rng(0)
    vectors, queries = (
        random.normal(size=(230_000, 4)).astype(np.float16),
        random.normal(size=(3, 4)).astype(np.float32),
    )
    expected = np.argsort(-(queries @ vectors.astype(np.float32).T), axis=1)[:, :10]
    assert nearest(vectors, queries).tolist() == expected.tolist()


@pytest.mark.parametrize("system", ["leann", "compactds", "faiss_hnsw"])
def test_every_system_finds_most_of_the_best_of_a_small_set(system: str, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    vectors = random.normal(size=(3000, 64)) * np.exp(-np.arange(64) / 16)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    np.save(tmp_path / "vectors.npy", vectors.astype(np.float16))
    queries = vectors[::100].astype(np.float32)
    over = Set("small", tmp_path / "vectors.npy", 3000, 1_000_000, 3000, queries, tmp_path)
    build(system, over)
    figures = search(system, over, nearest(over.load(), queries))
    assert (figures["recall_at_10"] or 0) > 0.8
    assert (figures.get("recomputed_p95_at_10") or 0) <= LIMIT
