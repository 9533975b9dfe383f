"""CompactDS against brute force in numpy."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from services.retrieval.compactds import ann
from services.retrieval.compactds.ann import Reach
from services.retrieval.compactds.search import Queries, Vectors, candidates, exact, few, scan

DIMENSION = 32


def unit(count: int, seed: int) -> NDArray[np.float16]:
    """Vectors of length 1 in 64 bundles, as texts of 64 subjects have."""
    random = np.random.default_rng(seed)
    middles = np.random.default_rng(7).normal(size=(64, DIMENSION))
    vectors = middles[random.integers(64, size=count)] + 0.6 * random.normal(size=(count, DIMENSION))
    halves: NDArray[np.float16] = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)
    return halves


def segment(folder: Path, vectors: NDArray[np.float16], flat_below: int = ann.FLAT_BELOW) -> Vectors:
    folder.mkdir()
    ann.build(vectors, folder, flat_below)
    return Vectors(ann.load(vectors, folder), vectors, vectors)


def search(segments: list[Vectors], queries: NDArray[np.float32], k: int, count: int, nprobe: int | None = None):  # type: ignore[no-untyped-def]
    found = candidates(segments, queries, Reach(count, nprobe))
    return [exact(segments, query, ranking).part(0, k) for query, ranking in zip(queries, found, strict=True)]


@pytest.fixture(scope="module")
def inverted(tmp_path_factory: pytest.TempPathFactory) -> Vectors:
    return segment(tmp_path_factory.mktemp("inverted") / "s", unit(60_000, 1))


def recall(found: list, segments: list[Vectors], queries: NDArray[np.float32], k: int) -> float:  # type: ignore[type-arg]
    hits = 0
    for query, ranking in zip(queries, found, strict=True):
        scores = np.concatenate([part.exact.astype(np.float32) @ query for part in segments])
        starts = np.cumsum([0, *(len(part.exact) for part in segments)])
        best = set(np.argsort(-scores)[:k].tolist())
        hits += len(best & {int(starts[number]) + row for number, row in ranking.places()})
    return hits / (k * len(queries))


def test_below_the_threshold_the_result_is_that_of_brute_force(tmp_path: Path) -> None:
    vectors, queries = unit(500, 2), unit(20, 3).astype(np.float32)
    for query, ranking in zip(queries, search([segment(tmp_path / "a", vectors)], queries, 10, 10), strict=True):
        scores = vectors.astype(np.float64) @ query
        assert ranking.rows.tolist() == np.argsort(-scores)[:10].tolist()
        np.testing.assert_allclose(ranking.scores, np.sort(scores)[::-1][:10], atol=1e-6)


def test_from_the_threshold_on_an_inverted_file_of_4_bit_codes_is_used(inverted: Vectors) -> None:
    assert type(inverted.index).__name__ == "IndexIVFPQFastScan"
    assert inverted.index.nlist == 256
    assert inverted.index.code_size * 8 == DIMENSION


def test_exact_scores_win_back_what_the_codes_lose(inverted: Vectors) -> None:
    queries = unit(50, 4).astype(np.float32)
    coarse = [ranking.part(0, 10) for ranking in candidates([inverted], queries, Reach(100, 256))]
    fine = search([inverted], queries, 10, 1000, nprobe=256)
    assert recall(coarse, [inverted], queries, 10) < 0.7
    assert recall(fine, [inverted], queries, 10) > 0.95


def test_more_lists_read_find_more_and_are_forgotten_by_the_next_request(inverted: Vectors) -> None:
    queries = unit(50, 4).astype(np.float32)
    before = inverted.index.nprobe
    one, default, every = (search([inverted], queries, 10, 200, nprobe) for nprobe in (1, None, 1_000_000))
    shares = [recall(found, [inverted], queries, 10) for found in (one, default, every)]
    assert shares[0] < shares[1] <= shares[2]
    assert inverted.index.nprobe == before


@pytest.mark.parametrize("scanned", [True, False])
@pytest.mark.parametrize("alike", [False, True])
@pytest.mark.parametrize("share", [0.1, 0.01, 0.001])
def test_a_filter_keeps_the_recall_however_little_it_leaves_and_whether_or_not_that_is_alike(
    inverted: Vectors, share: float, alike: bool, scanned: bool
) -> None:
    """Not scanned shows the selector, which a datastore of a million takes for 10%."""
    vectors, queries = inverted.exact.astype(np.float32), unit(50, 4).astype(np.float32)
    likeness = vectors @ vectors[0] if alike else np.random.default_rng(5).random(len(vectors))
    allowed = likeness >= np.sort(likeness)[-round(share * len(vectors))]
    assert few([inverted], [allowed])
    found = (
        scan([inverted], Queries(queries, queries), 100, [allowed])
        if scanned
        else candidates([inverted], queries, Reach(100), [allowed])
    )
    hits = 0
    for query, ranking in zip(queries, found, strict=True):
        best = np.argsort(-np.where(allowed, vectors @ query, -np.inf))[:10]
        hits += len({*best.tolist()} & {*exact([inverted], query, ranking).rows[:10].tolist()})
    assert hits / (10 * len(queries)) >= 0.95


@pytest.mark.parametrize("flat_below", [50_000, 1000])
def test_segments_left_out_change_neither_order_nor_score(tmp_path: Path, flat_below: int) -> None:
    parts = [segment(tmp_path / str(seed), unit(2000, seed), flat_below) for seed in range(3)]
    queries = unit(10, 9).astype(np.float32)
    (tmp_path / "alone").mkdir()
    alone = [segment(tmp_path / "alone" / str(seed), unit(2000, seed), flat_below) for seed in (0, 2)]
    left_out, never_there = (search([*made], queries, 20, 100) for made in ((parts[0], parts[2]), alone))
    for first, second in zip(left_out, never_there, strict=True):
        assert first.places() == second.places()
        assert first.scores.tolist() == second.scores.tolist()
        assert len(first) == 20


def test_asking_for_more_than_there_is_gives_all(tmp_path: Path) -> None:
    parts = [segment(tmp_path / "a", unit(3, 1)), segment(tmp_path / "b", unit(1100, 2), 1000)]
    (ranking,) = search(parts, unit(1, 3).astype(np.float32), 5000, 5000, nprobe=64)
    assert len(ranking) == 1103
