"""The comparison as a whole: measured once, written into the page, intervals that pair."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from services.model.flexolmo import comparison
from services.model.flexolmo.candidates import (
    AVERAGE,
    DENSE,
    ENSEMBLE,
    MERGED,
    PUBLIC,
    TUNED,
    WEIGHTED,
    candidates,
)
from services.model.flexolmo.compare import Measured, measure, routing
from services.model.flexolmo.dense_training import train_dense
from services.model.flexolmo.perplexity import Scores, change
from services.model.flexolmo.tasks import tasks
from services.model.flexolmo.training import Settings
from services.model.flexolmo.tune import Tuning, save_router, tune_router
from services.model.flexolmo.versus import accuracy_change, mean_change

OWNERS = ("harbour", "bakery")


def scores(per_token: list[float]) -> Scores:
    counts = np.full(len(per_token), 50)
    return Scores(np.array(per_token) * counts, counts)


def test_the_mean_of_owners_weighs_each_owner_the_same_and_pairs_documents() -> None:
    noise = np.random.default_rng(1).normal(size=40)
    before = [scores((3 + noise).tolist()), scores([2.0, 2.5])]
    after = [scores((3 + noise - 0.3).tolist()), scores([2.1, 2.6])]
    moved = mean_change(before, after)
    assert moved.mean == pytest.approx(np.expm1((-0.3 + 0.1) / 2))
    assert moved.high - moved.low < 1e-6
    with pytest.raises(ValueError, match="same documents"):
        mean_change(before, [after[0], replace(after[1], tokens=after[1].tokens + 1)])


def test_an_accuracy_difference_is_sure_only_when_the_items_agree_on_it() -> None:
    worse, better = np.zeros(50), np.ones(50)
    assert accuracy_change(worse, better).low == 1
    mixed = accuracy_change(np.array([0.0, 1.0] * 25), np.array([1.0, 0.0] * 25))
    assert mixed.mean == 0
    assert mixed.low < 0 < mixed.high


def test_the_comparison_is_measured_once_and_written_into_the_page(
    anchor: Path, texts: Path, settings: Settings, experts: dict[str, Path], tmp_path: Path
) -> None:
    files = list(experts.values())
    folders = [texts / owner for owner in OWNERS]
    both = replace(settings, rank=8, steps=20)
    dense = train_dense(anchor, folders, tmp_path / "dense.safetensors", settings=both)
    home = tmp_path / "home"
    (home / "questions").mkdir(parents=True)
    (home / "texts").symlink_to(texts)
    rows = [
        {"id": f"sciq:{i}", "owner": "public", "question": f"What is {i}?", "answers": [f"a {i}"], "standalone": True}
        for i in range(8)
    ]
    lines = "".join(json.dumps(row | {"document": f"public:{i}"}) + "\n" for i, row in enumerate(rows))
    (home / "questions" / "sciq.jsonl").write_text(lines)
    tuning = Tuning(steps=2, block_tokens=32)
    tuned = tune_router(anchor, files, texts / "public", home / "questions", settings=tuning)
    save_router(router := tmp_path / "router.safetensors", tuned)

    models = candidates(anchor, files, dense, router)
    todo = tasks([*folders, texts / "public"], home, anchor, windows=8, questions=6)

    def run() -> dict[str, Measured]:
        return measure(anchor, models, todo, tmp_path / "work")

    results = run()
    assert list(results) == [
        *(PUBLIC, DENSE, AVERAGE, "alone: harbour", "alone: bakery", MERGED, TUNED),
        *("merged, k = 1", "merged, k = 3", ENSEMBLE, WEIGHTED),
    ]
    assert set(results[MERGED].texts) == {*OWNERS, "public"}
    assert set(results[ENSEMBLE].questions) == {"sciq"}
    for owner in OWNERS:
        assert results[MERGED].texts[owner].perplexity < results[PUBLIC].texts[owner].perplexity
        # the log of a mean is at least the mean of the logs
        each = [results[f"alone: {name}"].texts[owner].nll.sum() for name in OWNERS]
        assert results[ENSEMBLE].texts[owner].nll.sum() <= np.mean(each)
    stamps = {file: file.stat().st_mtime_ns for file in (tmp_path / "work").iterdir()}
    assert run()[DENSE].texts["bakery"].perplexity == results[DENSE].texts["bakery"].perplexity
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "work").iterdir()} == stamps

    shares = routing(models, todo, count=2)
    assert all(share.sum() == pytest.approx(1, abs=1e-5) for found in shares.values() for share in found.values())
    page = tmp_path / "page.md"
    page.write_text(f"Before\n{comparison.BEGIN}\nold\n{comparison.END}\nAfter\n")
    figures = comparison.summary(results, OWNERS, shares)
    comparison.write(comparison.tables(results, OWNERS, shares), figures, page, tmp_path / "results.json")
    text = page.read_text()
    assert text.startswith("Before\n")
    assert text.endswith("After\n")
    assert "old" not in text
    assert f"| {AVERAGE} | {results[AVERAGE].texts['harbour'].perplexity:.2f} |" in text
    stored = json.loads((tmp_path / "results.json").read_text())
    against = change(results[DENSE].texts["harbour"], results[MERGED].texts["harbour"])
    assert stored["merge_against"][MERGED][DENSE]["harbour"]["mean"] == pytest.approx(against.mean, abs=1e-4)
