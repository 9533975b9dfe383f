"""LEANN against brute force in numpy."""

from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from services.retrieval.datastore.manifest import EncoderStamp
from services.retrieval.leann.codebook import BadCodebook, Codebook, Origin, read
from services.retrieval.leann.codes import Codes, scan
from services.retrieval.leann.nearest import nearest
from services.retrieval.leann.quantiser import BYTES, train
from services.retrieval.leann.recompute import STEP, Aim, recompute
from services.retrieval.leann.search import candidates, exact
from services.retrieval.ranking import Ranking

Floats = NDArray[np.float32]

DIMENSION = 96
ENCODER = EncoderStamp(name="e", revision="1", dimension=DIMENSION)
ORIGIN = Origin(encoder=ENCODER, segments=[], passages=0, inputs="")

quickly = settings(deadline=None, max_examples=25)


def texts(count: int, seed: int) -> Floats:
    """Vectors of length 1 that vary far more in some directions than in others, as those of texts do."""
    directions = np.linalg.qr(np.random.default_rng(7).normal(size=(DIMENSION, DIMENSION)))[0]
    spread = np.exp(-np.arange(DIMENSION) / 30)
    vectors = 0.3 * directions[0] + np.random.default_rng(seed).normal(size=(count, DIMENSION)) * spread @ directions
    units: Floats = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return units


@pytest.fixture(scope="module")
def codebook() -> Codebook:
    return Codebook(ORIGIN, train([texts(2000, 1)], DIMENSION))


def codes_of(vectors: Floats, codebook: Codebook) -> Codes:
    with TemporaryDirectory() as folder:
        Codes.write(Path(folder), codebook, vectors)
        return Codes(Path(folder), codebook)


def find(
    parts: list[Floats], codebook: Codebook, query: Floats, aim: Aim, limit: int
) -> tuple[Ranking, list[tuple[int, int]]]:
    """The ranking, and the k best places by brute force."""
    found, deviations = candidates([codes_of(part, codebook) for part in parts], query[None], limit)
    ranking = exact(found[0], deviations[0], query, aim, lambda some: np.stack([parts[s][r] for s, r in some.places()]))
    scores = [
        (-float(np.einsum("d,d", row, query)), s, r) for s, part in enumerate(parts) for r, row in enumerate(part)
    ]
    return ranking, [(s, r) for _, s, r in sorted(scores)[: aim.k]]


@quickly
@given(st.lists(st.integers(1, 40), min_size=1, max_size=3), st.integers(1, 12), st.integers(0, 1000))
def test_with_every_passage_scored_exactly_the_best_are_those_of_brute_force(
    codebook: Codebook, sizes: list[int], k: int, seed: int
) -> None:
    parts = [texts(size, seed + number) for number, size in enumerate(sizes)]
    ranking, best = find(parts, codebook, texts(1, seed + 9)[0], Aim(k, 1), limit=sum(sizes))
    assert ranking.places()[:k] == best
    assert len(ranking) == sum(sizes)


def test_most_of_the_best_are_found_with_few_exact_scores(codebook: Codebook) -> None:
    parts, queries = [texts(3000, 2), texts(1000, 3)], texts(40, 4)
    hits, computed = [], []
    for query in queries:
        ranking, best = find(parts, codebook, query, Aim(10, 0.95), limit=200)
        hits.append(len({*ranking.places()[:10]} & {*best}) / 10)
        computed.append(len(ranking))
    assert np.mean(hits) >= 0.93
    assert np.mean(computed) < 60  # of 4000


def test_the_deviation_claimed_of_a_segment_is_that_of_its_scores(codebook: Codebook) -> None:
    vectors, queries = texts(4000, 5), texts(30, 6)
    codes = codes_of(vectors, codebook)
    claimed, real, off = [], [], []
    for query in queries:
        found = codes.search(query, 4000)
        errors = vectors[found.rows] @ query - found.moments.expected(found.scores)
        claimed.append(found.moments.deviation)
        real.append(errors.std())
        off.append(errors[:200].mean())
    assert np.mean(real) == pytest.approx(np.mean(claimed), rel=0.15)
    assert abs(np.mean(off)) < 0.25 * np.mean(claimed)  # the best estimates are no better than they look


@quickly
@given(st.lists(st.integers(0, 60), max_size=4), st.integers(0, 1000))
def test_how_an_owner_s_passages_are_divided_changes_neither_order_nor_how_many_are_embedded(
    codebook: Codebook, cuts: list[int], seed: int
) -> None:
    """The seed of a failure: an addition of its own had moments of its own, those of few estimates."""
    whole, other, query = texts(60, seed), texts(40, seed + 1), texts(1, seed + 2)[0]
    bounds = [0, *sorted(cuts), 60]
    parts = [whole[start:end] for start, end in pairwise(bounds)]
    starts = dict(enumerate(bounds[:-1])) | {len(parts): 60}
    rankings = []
    for made in ([whole, other], [*parts, other]):
        segments, owners = [codes_of(part, codebook) for part in made], ["a"] * (len(made) - 1) + ["b"]
        (found,), (deviations,) = candidates(segments, query[None], 30, owners=owners)

        def embed(some: Ranking, made: list[Floats] = made) -> Floats:
            return np.stack([made[segment][row] for segment, row in some.places()])

        begin = {0: 0, 1: 60} if len(made) == 2 else starts
        rankings += [
            ([begin[segment] + row for segment, row in ranking.places()], ranking.scores)
            for ranking in (found, exact(found, deviations, query, Aim(5, 0.9), embed))
        ]
    assert rankings[0][0] == rankings[2][0]
    assert rankings[1][0] == rankings[3][0]
    np.testing.assert_allclose(rankings[0][1], rankings[2][1], atol=1e-6)


def test_a_code_is_64_bytes_and_a_scale_of_two(codebook: Codebook, tmp_path: Path) -> None:
    Codes.write(tmp_path, codebook, texts(1000, 1))
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert 1000 * (BYTES + 2) <= size <= 1000 * (BYTES + 2) + 1024


@pytest.mark.parametrize("dimension", [16, 64, 100, 384])
def test_vectors_of_any_dimension_can_be_coded_with_a_codebook_trained_on_none(dimension: int) -> None:
    quantiser = train([], dimension)
    vectors = np.random.default_rng(0).normal(size=(300, dimension)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    codes, scales, errors = quantiser.encode(vectors)
    assert codes.shape == (300, min(BYTES, dimension))
    assert np.isfinite(scales).all()
    assert errors.sum() < 0.6


def test_passages_that_are_all_the_same_can_be_coded(codebook: Codebook) -> None:
    same = np.repeat(texts(1, 1), 30, axis=0)
    ranking, _ = find([same], codebook, texts(1, 2)[0], Aim(5, 0.95), limit=30)
    assert ranking.rows[:5].tolist() == [0, 1, 2, 3, 4]


def scored(truth: Floats, estimates: Floats, deviation: float, k: int, recall: float) -> tuple[Ranking, set[int]]:
    """`recompute` over one segment whose estimates are these, and the k best rows."""
    rows = np.argsort(-estimates, kind="stable")
    found = Ranking(np.zeros(len(rows), np.int64), rows, estimates[rows].astype(np.float64))
    ranking = recompute(found, np.array([deviation]), Aim(k, recall), lambda some: truth[some.rows])
    return ranking, set(np.argsort(-truth, kind="stable")[:k].tolist())


@quickly
@given(st.integers(0, 1000), st.integers(1, 10))
def test_with_estimates_that_are_right_only_the_k_best_are_scored(seed: int, k: int) -> None:
    truth = np.random.default_rng(seed).normal(size=200).astype(np.float32)
    ranking, best = scored(truth, truth, 0, k, 0.95)
    # the first one after them is so far below, or so near that it needs a look
    assert len(ranking) <= k + STEP
    assert set(ranking.rows[:k].tolist()) == best


@pytest.mark.parametrize("recall", [0.5, 0.8, 0.95, 0.99])
def test_where_the_deviation_is_exact_the_share_of_the_best_that_was_asked_for_is_found(recall: float) -> None:
    random = np.random.default_rng(3)
    hits, computed = 0, 0
    for _ in range(200):
        estimates = random.normal(size=300).astype(np.float32)
        truth = (estimates + 0.2 * random.normal(size=300)).astype(np.float32)
        ranking, best = scored(truth, estimates, 0.2, 10, recall)
        hits += len(best & set(ranking.rows[:10].tolist()))
        computed += len(ranking)
    assert hits / 2000 >= recall - 0.01
    assert computed / 200 < 100


def test_estimates_that_are_all_too_low_are_found_to_be_so() -> None:
    random = np.random.default_rng(4)
    hits, computed = 0, 0
    for _ in range(200):
        estimates = random.normal(size=300).astype(np.float32)
        truth = (estimates + 0.4 + 0.2 * random.normal(size=300)).astype(np.float32)
        ranking, best = scored(truth, estimates, 0.2, 10, 0.95)
        hits += len(best & set(ranking.rows[:10].tolist()))
        computed += len(ranking)
    assert hits / 2000 >= 0.93
    assert computed / 200 < 100


@quickly
@given(st.integers(0, 1000), st.integers(1, 10))
def test_with_recall_one_none_of_the_best_is_lost_to_errors_of_five_deviations(seed: int, k: int) -> None:
    random = np.random.default_rng(seed)
    estimates = random.normal(size=60).astype(np.float32)
    truth = (estimates + random.uniform(-0.5, 0.5, size=60)).astype(np.float32)
    ranking, best = scored(truth, estimates, 0.1, k, 1)
    assert set(ranking.rows[:k].tolist()) == best


@quickly
@given(st.integers(0, 1000), st.integers(1, 30), st.integers(1, 60))
def test_no_more_are_scored_than_there_are_candidates(seed: int, k: int, limit: int) -> None:
    random = np.random.default_rng(seed)
    estimates = np.sort(random.normal(size=limit)).astype(np.float32)
    asked: list[int] = []
    found = Ranking(np.zeros(limit, np.int64), np.arange(limit), estimates[::-1].astype(np.float64))

    def score(some: Ranking) -> Floats:
        asked.extend(some.rows.tolist())
        return random.normal(size=len(some)).astype(np.float32)

    ranking = recompute(found, np.array([1.0]), Aim(k, 0.95), score)
    assert asked == list(range(len(ranking)))
    assert min(k, limit) <= len(ranking) <= limit
    assert (np.diff(ranking.scores) <= 0).all()


def test_a_codebook_comes_back_as_it_was_written(codebook: Codebook, tmp_path: Path) -> None:
    codebook.write(tmp_path)
    again = read(tmp_path, ENCODER)
    assert (again.id, again.origin) == (codebook.id, codebook.origin)


def test_a_codebook_of_another_encoder_is_refused_with_its_name(codebook: Codebook, tmp_path: Path) -> None:
    codebook.write(tmp_path)
    with pytest.raises(BadCodebook, match="for vectors of encoder e 1, which is not loaded"):
        read(tmp_path, ENCODER.model_copy(update={"revision": "2"}))


@pytest.mark.parametrize("size", [0, 10, 1000, -1])
def test_a_codebook_cut_short_is_damaged(codebook: Codebook, tmp_path: Path, size: int) -> None:
    codebook.write(tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(BadCodebook, match="damaged"):
        read(tmp_path, ENCODER)


def test_without_a_codebook_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(BadCodebook, match="there is no codebook"):
        read(tmp_path, ENCODER)


@quickly
@given(st.integers(1, 9), st.integers(1, 7), st.integers(0, 1000))
def test_every_part_is_rounded_to_the_nearest_centroid(parts: int, width: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    points = random.normal(size=(20, parts, width)).astype(np.float32)
    centroids = random.normal(size=(parts, 256, width)).astype(np.float32)
    chosen = nearest(points.reshape(20, -1), centroids)
    squares = np.square(points[:, :, None] - centroids, dtype=np.float64).sum(axis=3)
    of_chosen = np.take_along_axis(squares, chosen[:, :, None].astype(int), 2)[..., 0]
    assert of_chosen == pytest.approx(squares.min(axis=2), abs=1e-5)  # two that are as near to a hair may change places


@quickly
@given(st.integers(1, 9), st.integers(1, 70), st.integers(0, 1000))
def test_a_scan_adds_up_what_the_tables_say(rows: int, parts: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    codes = random.integers(0, 256, (rows, parts)).astype(np.uint8)
    tables = random.normal(size=(parts, 256)).astype(np.float32)
    assert scan(codes, tables) == pytest.approx(tables[np.arange(parts), codes].sum(axis=1), abs=1e-4)
