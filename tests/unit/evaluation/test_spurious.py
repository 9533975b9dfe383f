"""`spurious-rewards`: what is planned, and the scores, contrasts, plots and words of outcomes that are made up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from services.evaluation.errors import BadOption
from services.evaluation.estimates import corrected, paired, pairs
from services.evaluation.measured import gather
from services.evaluation.suites.base import Answer
from services.evaluation.suites.spurious.options import SpuriousOptions
from services.evaluation.suites.spurious.suite import SpuriousRewards, scores
from shared.contracts.evaluation import Item
from shared.contracts.figure import Plot

SUITE = SpuriousRewards()
SHEET = {"code": "1100", "cut": "0000", "sampled": 0.25}


def outcome(last: str, code: str, *, clipped: float = 0.01) -> dict[str, Any]:
    """Of four problems, of which the first was right before."""
    sheets = [{"step": 0, "right": "1000", **SHEET}, {"step": 8, "right": last, **SHEET, "code": code, "sampled": 0.5}]
    log = [{"step": step, "reward": 0.5, "clip_ratio/region_mean": clipped} for step in (4, 8)]
    return {"sheets": sheets, "log": log, "labels": {"right": 3, "wrong": 2, "missing": 1}}


def item(setting: str, seed: int, details: dict[str, Any], model: str = "qwen2") -> Item:
    return Item.model_validate(
        {
            "id": f"{model}/{setting}/{seed}",
            "question_id": f"seed {seed}",
            "cluster": f"seed {seed}",
            "set": model,
            "setting": setting,
            "question": f"Train {model}, seed {seed}",
            "gold": [],
            "seed": seed,
            "prompt": "{}",
            "output": "",
            "details": details,
            "scores": scores(details),
            "tokens": None,
            "latency_ms": 1.0,
            "error": None,
            "status": "scored",
        }
    )


def test_every_reward_has_the_same_seeds_and_the_same_budget(tmp_path: Path) -> None:
    options = SpuriousOptions(
        rewards=["ground_truth", "not random", "python and format"], clippings=["clipped", "on-policy"]
    )
    plan = SUITE.plan(options, 100, 7, tmp_path)
    assert len(plan.items) == 2 * 3 * 2 * 3
    assert {one.set for one in plan.items} == {"qwen2", "olmo2"}
    assert {one.question_id for one in plan.items} == {"seed 7", "seed 8", "seed 9"}
    budgets = {json.dumps(one.ask["training"]["budget"]) for one in plan.items}
    assert len(budgets) == 1
    assert len({one.ask["folder"] for one in plan.items}) == len(plan.items)
    by_setting = {one.setting: one.ask["training"] for one in plan.items}
    assert by_setting["not random (on-policy)"]["updates"] == 1
    assert by_setting["python and format"]["updates"] == 8
    # what is asked of one seed under several settings is one question, and compared in pairs
    assert len({(one.set, one.question_id, one.question) for one in plan.items}) == 6
    # three rewards of which none is the coin: each on-policy against clipped, of two models, by two measures
    assert "3 seeds and 12 comparisons: no p can be below 1 after correction" in plan.warnings[0]
    assert "It takes 9 seeds" in plan.warnings[0]
    assert SUITE.plan(options, 1, 7, tmp_path).items == plan.items[:12]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"models": ["nobody"]}, "no small family 'nobody'"),
        ({"train": "nothing"}, "no set"),
        ({"budget": {"samples": 1}}, "samples: Input should be greater"),
        ({"budget": {"prompts": 3, "samples": 3}}, r"^options\.budget: 9 responses .* cannot be shared evenly by 8"),
        ({"budget": {"speed": 3}}, r"^There is no field 'options\.budget\.speed' here\.$"),
        ({"budget": {"rollouts": 0}}, r"^options\.budget\.rollouts: Input should be greater than or equal to 1\.$"),
        ({"budget": {"rollouts": True}}, "valid integer"),
        ({"budget": {"learning_rate": float("inf")}}, "finite"),
    ],
)
def test_options_that_cannot_be_trained_are_refused(tmp_path: Path, given: dict[str, Any], told: str) -> None:
    (tmp_path / "sets").mkdir()
    (tmp_path / "sets" / "one.jsonl").write_text('{"question": "1+1=", "answer": "#### 2"}\n')
    with pytest.raises(BadOption, match=told):
        SUITE.plan(SpuriousOptions.model_validate(given), 1, 0, tmp_path)


@pytest.mark.parametrize("weights", ["model.safetensors", "pytorch_model.bin"])
def test_a_model_or_a_set_that_changed_is_another_training(tmp_path: Path, weights: str) -> None:
    folder = tmp_path / "models" / "mine"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / weights).write_bytes(b"1")
    (tmp_path / "sets").mkdir()
    options = SpuriousOptions(models=["mine"], rewards=["random"], train="own")
    own, folders = tmp_path / "sets" / "own.jsonl", []
    for answer, content in (("2", b"1"), ("2", b"12"), ("3", b"12")):
        own.write_text(json.dumps({"question": "1+1=", "answer": f"#### {answer}"}) + "\n")
        (folder / weights).write_bytes(content)
        [one] = SUITE.plan(options, 1, 0, tmp_path).items
        folders.append(one.ask["folder"])
    assert len({*folders}) == 3


def test_the_scores_are_of_the_last_sheet_against_the_first() -> None:
    details = outcome("0111", "1110")
    found = SUITE.score(SUITE.plan(SpuriousOptions(), 1, 0, Path("/none")).items[0], Answer("", "", 1, 1.0, details))
    assert found == {
        "accuracy": 0.75,
        "gain": 0.5,
        "code": 0.75,
        "code_gain": 0.25,
        "accuracy_with_code": pytest.approx(2 / 3),
        "accuracy_without_code": 1.0,
        "code_to_code": 0.0,
        "code_to_words": 0.0,
        "words_to_code": 0.25,
        "words_to_words": 0.25,
        "sampled": 0.5,
        "sampled_gain": 0.25,
        "clipped": 0.01,
        "cut_off": 0.0,
    }
    assert {*found} <= {*SUITE.metrics}
    assert "accuracy_with_code" not in scores(outcome("0111", "0000"))


def test_of_one_seed_no_interval_is_told_and_enough_seeds_are_no_warning(tmp_path: Path) -> None:
    [told] = SUITE.summary([item("random", 0, outcome("1110", "1110"))])
    assert "random +50.0 (one seed, no interval; code then 75%)" in told
    options = SpuriousOptions(rewards=["ground_truth", "random"], seeds=8)
    assert SUITE.plan(options, 8, 0, tmp_path).warnings == []
    [warning] = SUITE.plan(options, 6, 0, tmp_path).warnings
    assert "6 seeds and 4 comparisons: no p can be below 0.12" in warning
    assert "It takes 8 seeds" in warning


def test_rewards_are_compared_with_the_random_one_that_is_clipped_alike_and_clippings_with_the_usual_one() -> None:
    settings = ["ground_truth", "random", "ground_truth (on-policy)", "random (on-policy)", "format (unclipped)"]
    assert [*SUITE.contrasts_among(settings)] == [
        ("ground_truth", "random"),
        ("ground_truth (on-policy)", "random (on-policy)"),
        ("ground_truth (on-policy)", "ground_truth"),
        ("random (on-policy)", "random"),
    ]


def test_the_truth_is_paired_with_the_coin_by_seed() -> None:
    items = [item("ground_truth", seed, outcome("1111", "1111")) for seed in range(6)]
    items += [item("random", seed, outcome("1000", "1100")) for seed in range(6)]
    groups = gather(items)
    found = pairs(groups["qwen2", "ground_truth"].scored, groups["qwen2", "random"].scored)
    [compared] = corrected([one for one in [paired(found, "accuracy", "mean")] if one is not None])
    assert (compared.items, compared.difference.mean, compared.test) == (6, 0.75, "sign_flip")
    assert compared.p == pytest.approx(2 / 2**6, abs=0.01)


def test_the_plots_have_a_curve_for_each_reward_and_the_contributions_sum_to_the_gain() -> None:
    items = [
        item(name, seed, outcome(last, "1110"))
        for name, last in (("ground_truth", "1110"), ("random", "1000"))
        for seed in range(3)
    ]
    plots = [one for one in SUITE.figures(iter(items)) if isinstance(one, Plot)]
    accuracy, code, reward, clipped, contributions = plots
    assert [(one.name, one.x, one.y) for one in accuracy.series] == [
        ("ground_truth", [0.0, 8.0], [0.25, 0.75]),
        ("random", [0.0, 8.0], [0.25, 0.25]),
    ]
    assert [one.y for one in code.series] == [[0.5, 0.75]] * 2
    assert [one.x for one in reward.series] == [[4.0, 8.0]] * 2
    assert [one.y for one in clipped.series] == [[0.01, 0.01]] * 2
    assert [sum(one.y[at] or 0.0 for one in contributions.series) for at in (0, 1)] == [0.5, 0.0]
    [told] = SUITE.summary(iter(items))
    assert "25.0% of 4 test problems" in told
    assert "ground_truth +50.0 (+50.0 to +50.0; code then 75%)" in told
    assert "3 were right, 2 wrong, 1 missing" in told
    [alone] = SUITE.summary(iter(items[:1]))
    assert "ground_truth +50.0 (one seed, no interval; code then 75%)" in alone
    assert SUITE.figures([]) == []
    assert SUITE.summary([]) == []
