"""What bench.retrieval measures with."""

import json
import random
from pathlib import Path

import numpy as np
import pytest

from bench.retrieval import words
from bench.retrieval.measure import Set, build, nearest, search
from bench.retrieval.systems import LIMIT


def test_brute_force_in_blocks_gives_the_best_rows_in_order() -> None:
    draw = np.random.default_rng(0)
    vectors, queries = (
        draw.normal(size=(230_000, 4)).astype(np.float16),
        draw.normal(size=(3, 4)).astype(np.float32),
    )
    expected = np.argsort(-(queries @ vectors.astype(np.float32).T), axis=1)[:, :10]
    assert nearest(vectors, queries).tolist() == expected.tolist()


@pytest.mark.parametrize("system", ["leann", "compactds", "faiss_hnsw"])
def test_every_system_finds_most_of_the_best_of_a_small_set(system: str, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    vectors = draw.normal(size=(3000, 64)) * np.exp(-np.arange(64) / 16)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    np.save(tmp_path / "vectors.npy", vectors.astype(np.float16))
    queries = vectors[::100].astype(np.float32)
    over = Set("small", tmp_path / "vectors.npy", 3000, 1_000_000, 3000, queries, tmp_path)
    build(system, over)
    figures = search(system, over, nearest(over.load(), queries))
    assert (figures["recall_at_10"] or 0) > 0.8
    assert (figures.get("recomputed_p95_at_10") or 0) <= LIMIT


@pytest.mark.parametrize("system", ["ours", "bm25s", "tantivy"])
def test_every_system_of_words_finds_what_brute_force_of_its_formula_finds(system: str, tmp_path: Path) -> None:
    draw = random.Random(0)
    vocabulary = [f"{first}{second}{third}x" for first in "bcdf" for second in "aou" for third in "kmrt"]
    # all of one length, which tantivy keeps exactly; words with a tail, of which few are rare
    passages = [draw.choices(vocabulary, [1 / (n + 1) for n in range(len(vocabulary))], k=20) for _ in range(500)]
    queries = [" ".join(draw.choices(vocabulary, k=4)) for _ in range(20)]
    (tmp_path / "words.txt").write_text("".join(" ".join(passage) + "\n" for passage in passages))
    (tmp_path / "queries.json").write_text(json.dumps({"drawn": queries}))
    words._build(system, tmp_path)
    figures = words._measured(system, tmp_path, words._best(tmp_path)[system])
    assert figures["drawn_agreement"] == 1
    assert (figures["bytes"] or 0) > 0
