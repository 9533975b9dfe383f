"""Runs against each other."""

from typing import Any

import pytest

from services.evaluation.compare import Measured, compare_runs, matched
from services.evaluation.errors import NotComparable
from services.evaluation.measured import gather
from services.evaluation.statistics.intervals import bootstrap
from services.evaluation.suites.base import Separation
from services.evaluation.table import compared_markdown
from shared.contracts.evaluation import Item, Run, RunProgress, RunsCompared

METRICS: dict[str, Any] = {"right": "proportion", "f1": "mean", "truncated": "proportion"}


def run(name: str, **values: Any) -> Run:
    progress = RunProgress(done=10, total=10, failed=0)
    about: dict[str, Any] = {
        "suite": "rag-qa", "status": "succeeded", "created": 0, "finished": 1, "limit": 10, "seed": 0, "options": {},
        "versions": {"model": name}, "progress": progress,
    }  # fmt: skip
    return Run(id=name, **{**about, **values})


def item(number: int, right: float | None, *, setting: str = "rag", **values: Any) -> Item:
    about: dict[str, Any] = {
        "set": "tales", "question": f"Who {number}?", "gold": ["Anna"], "prompt": None, "output": None, "tokens": 4,
        "latency_ms": 1.0, "seed": 0, "error": None, "cluster": f"d{number}",
        "status": "scored" if right is not None else "failed",
        "scores": {"right": right, "f1": right / 2} if right is not None else {},
    }  # fmt: skip
    return Item(id=f"q{number}@{setting}", question_id=f"q{number}", setting=setting, **{**about, **values})


def measured(name: str, items: list[Item], **values: Any) -> Measured:
    return Measured(run(name, **values), gather(items), METRICS, ["right", "f1"])


def test_runs_are_compared_over_the_questions_that_both_answered() -> None:
    base = measured("a", [*(item(n, float(n < 2)) for n in range(8)), item(8, None), item(20, 1.0)])
    other = measured("b", [*(item(n, float(n > 0)) for n in range(8)), item(8, 1.0), item(30, 1.0)])
    compared = compare_runs([base, other])
    [right, f1] = compared.differences
    # only the other: 2 to 7; only the base: 0
    assert (right.run, right.against, right.items, right.test) == ("b", "a", 8, "mcnemar")
    assert right.difference.mean == pytest.approx(5 / 8)
    assert right.p == pytest.approx(2 * (1 + 7) / 2**7)
    assert f1.test == "sign_flip"
    assert f1.p_holm == pytest.approx(max(right.p, f1.p, min(1, 2 * min(right.p, f1.p))))
    [pairing] = compared.pairings
    assert (pairing.paired, pairing.unpaired, pairing.different) == (8, 3, 0)
    assert compared.differing == {"versions.model": ["a", "b"]}


def test_a_run_that_is_the_other_one_scored_again_is_said_to_be() -> None:
    items = [item(n, float(n < 2)) for n in range(12)]
    compared = compare_runs([measured("a", items), measured("b", items, rescored_from="a")])
    assert compared.warnings == ["b is a scored again: both are of the same answers."]
    assert compare_runs([measured("a", items), measured("b", items, rescored_from="c")]).warnings == []


def test_a_question_of_another_text_is_not_the_same_question() -> None:
    base = measured("a", [item(n, 1.0) for n in range(4)])
    other = measured("b", [item(0, 0.0), item(1, 0.0), item(2, 0.0, gold=["Bert"]), item(3, 0.0, question="When?")])
    compared = compare_runs([base, other])
    assert compared.differences[0].items == 2
    assert compared.pairings[0].different == 2
    assert any("another text" in warning for warning in compared.warnings)


def test_questions_on_one_document_are_flipped_together() -> None:
    base = measured("a", [item(n, 0.0, cluster=f"d{n % 3}") for n in range(12)])
    other = measured("b", [item(n, 1.0, cluster=f"d{n % 3}") for n in range(12)])
    right, f1 = compare_runs([base, other]).differences
    assert (right.clusters, right.test) == (3, "cluster_flip")
    # three documents, all for the other: two of the eight flips are as extreme
    assert right.p == pytest.approx(2 / 8)
    assert f1.p == pytest.approx(2 / 8, abs=0.02)


def test_a_comparison_says_how_many_clusters_it_is_of_and_warns_of_few() -> None:
    def of(documents: int) -> RunsCompared:
        runs = [[item(n, float(n % 5 < more), cluster=f"d{n % documents}") for n in range(40)] for more in (1, 3)]
        return compare_runs([measured("a", runs[0]), measured("b", runs[1])])

    few = of(4)
    assert "| tales | right | rag: B - A | 40 in 4 clusters | +0.400 [" in compared_markdown(few)
    assert any("Fewer than 10 clusters" in one and "tales (4)" in one for one in few.warnings)
    assert of(10).warnings == []


def test_of_two_groups_the_smaller_ones_clusters_are_few() -> None:
    metrics: dict[str, Any] = {"auc_loss": Separation("loss", "member")}

    def of(members: int) -> list[str]:
        items = [item(n, 1.0, scores={"member": float(n < members), "loss": n / 9}) for n in range(60)]
        return compare_runs([Measured(run(name), gather(items), metrics, ["auc_loss"]) for name in "ab"]).warnings

    [said] = of(5)
    assert "tales (5 in the smaller of two groups)." in said
    assert of(55)[0] == said
    assert of(10) == []


def test_every_further_run_is_compared_with_the_first_and_corrected_for_all() -> None:
    base = measured("a", [item(n, float(n < 5)) for n in range(20)])
    others = [measured(name, [item(n, float(n < 5 + more)) for n in range(20)]) for name, more in (("b", 6), ("c", 9))]
    compared = compare_runs([base, *others])
    rights = [one for one in compared.differences if one.metric == "right"]
    assert [(one.run, one.against) for one in rights] == [("b", "a"), ("c", "a")]
    smallest = min(compared.differences, key=lambda one: one.p)
    assert smallest.p_holm == pytest.approx(len(compared.differences) * smallest.p)
    assert "| tales | right | rag: C - A | 20 | +0.450 [" in compared_markdown(compared)


def test_settings_of_one_name_are_compared_and_else_the_only_ones() -> None:
    assert [*matched([("s", "rag"), ("s", "plain")], [("s", "plain"), ("s", "other")])] == [
        (("s", "plain"), ("s", "plain"))
    ]
    assert [*matched([("s", "rag")], [("s", "plain")])] == [(("s", "rag"), ("s", "plain"))]
    assert [*matched([("s", "rag"), ("s", "x")], [("s", "plain")])] == []
    assert [*matched([("s", "rag")], [("t", "rag")])] == []


def test_runs_without_a_question_in_common_are_refused() -> None:
    base, other = measured("a", [item(1, 1.0)]), measured("b", [item(2, 1.0)])
    with pytest.raises(NotComparable, match="no scored question"):
        compare_runs([base, other])


def test_the_interval_of_a_difference_is_the_paired_bootstraps() -> None:
    base = measured("a", [item(n, float(n % 3 == 0)) for n in range(30)])
    other = measured("b", [item(n, float(n % 2 == 0)) for n in range(30)])
    [right, _] = compare_runs([base, other]).differences
    assert right.difference == bootstrap([float(n % 2 == 0) - float(n % 3 == 0) for n in range(30)])
