"""The owners' matrices and rag's curves use the intervals and tests of the report, clusters among them."""

from __future__ import annotations

import random

import pytest

from services.evaluation.estimates import estimate
from services.evaluation.measured import gather
from services.evaluation.suites.owners.effects import costs, gathered, told
from services.evaluation.suites.owners.suite import MEASURES
from services.evaluation.suites.rag.curves import by_k
from shared.contracts.evaluation import Item
from shared.contracts.figure import Plot


def item(place: tuple[str, str], number: int, scores: dict[str, float], documents: int) -> Item:
    return Item(
        id=f"{number}@{place}",
        question_id=str(number),
        cluster=f"d{number % documents}",
        status="scored",
        set=place[0],
        setting=place[1],
        question="Who?",
        gold=["He"],
        prompt="",
        output="",
        scores=scores,
        tokens=1,
        latency_ms=1.0,
        seed=0,
        error=None,
    )


def test_questions_on_one_document_are_no_independent_evidence_of_an_effect() -> None:
    """Two documents of 20 questions each, one of them lost with the owner: nobody can be sure of that."""
    items = []
    for number in range(40):
        for setting, right in (("all", 1.0), ("without news", float(number % 2))):
            items.append(item(("questions/news", setting), number, {"contains_gold": right, "milliseconds": 1.0}, 2))
    effect = gathered(gather(items), MEASURES)["questions"]["news", "news"]
    assert (effect.items, effect.difference.mean) == (40, -0.5)
    assert (effect.difference.low, effect.difference.high) == (-1.0, 0.0)
    assert not effect.clear


def test_of_many_owners_that_change_nothing_the_summary_calls_none_clearly_different() -> None:
    """64 matrices of 20 cells without any effect: some intervals of each leave out 0, and few p do after correction."""
    random.seed(1)
    wrong = 0
    for _ in range(64):
        items = []
        for owner in ("news", "papers", "python", "law"):
            for setting in ("all", *(f"without {one}" for one in "abcde")):
                items += [
                    item((f"perplexity/{owner}", setting), number, {"nll": random.gauss(3, 1), "milliseconds": 1}, 99)
                    for number in range(12)
                ]
        effects = gathered(gather(items), MEASURES)["perplexity"]
        wrong += any(effect.clear for effect in effects.values())
    assert wrong <= 8  # 5% of 64 is 3


def test_a_clear_effect_on_another_owners_text_is_told() -> None:
    items = []
    for number in range(12):
        for setting, nll in (("all", 3.0), ("without news", 3.5 + number / 100)):
            items.append(item(("perplexity/papers", setting), number, {"nll": nll, "milliseconds": 1.0}, 99))
    [sentence] = told(gathered(gather(items), MEASURES), MEASURES, {})
    assert sentence.startswith("news (news) was left out. Nothing was measured on its own texts. In 12 texts of papers")
    assert "20.1 equally likely ones with everyone in, and as between 35.0 without news" in sentence
    assert sentence.endswith("1.74 times as many. That is more than chance.")


@pytest.mark.parametrize(
    ("count", "says"),
    [
        (4, "Fewer than 5 questions are too few to say whether it changes how many questions on documents of news"),
        (
            5,
            "Of 5 questions on documents of news, 5 are answered rightly with everyone in and 0 without news.",
        ),
    ],
)
def test_of_fewer_than_five_no_difference_is_told(count: int, says: str) -> None:
    items = [
        item(("questions/news", setting), number, {"contains_gold": right, "milliseconds": 1.0}, 99)
        for number in range(count)
        for setting, right in (("all", 1.0), ("without news", 0.0))
    ]
    [paragraph] = told(gathered(gather(items), MEASURES), MEASURES, {})
    assert says in paragraph
    assert ("5 are answered" in paragraph) is (count == 5)


def test_what_does_not_change_is_told_as_no_difference() -> None:
    items = [
        item(("questions/news", setting), number, {"contains_gold": 1.0, "milliseconds": 1.0}, 99)
        for number in range(6)
        for setting in ("all", "without news", "without papers")
    ]
    news, papers = told(gathered(gather(items), MEASURES), MEASURES, {"papers": "A publisher"})
    assert "6 without news. That is no difference." in news
    assert papers == (
        "papers (A publisher) was left out. Nothing was measured on its own texts. It makes no clear difference to how "
        "many questions on documents of news are answered rightly."
    )


def timed(place: tuple[str, str], number: int, milliseconds: float, documents: int = 99) -> Item:
    return item(place, number, {"contains_gold": 1.0, "milliseconds": milliseconds}, documents)


def test_the_time_of_an_answer_is_compared_over_the_same_questions() -> None:
    """Law's questions take ten times as long, and most of them failed with all in: that is no cost of leaving out."""
    random.seed(3)
    items = []
    for owner, takes, first in (("news", 100.0, 0), ("law", 1000.0, 20)):
        for number in range(first, first + 20):
            own = takes * random.uniform(0.5, 1.5)
            if owner == "news" or number < 22:
                items.append(timed((f"questions/{owner}", "all"), number, own))
            items.append(timed((f"questions/{owner}", "without papers"), number, own + 5 + random.gauss(0, 1)))
    plot = costs(gather(items))
    assert isinstance(plot, Plot)
    [series] = plot.series
    assert series.x == ["without papers"]
    assert series.low is not None
    assert series.high is not None
    # the means of what was answered under each setting are some 370 apart
    [low], [mean], [high] = series.low, series.y, series.high
    assert low is not None
    assert mean is not None
    assert high is not None
    assert 4 < low < mean < high < 6
    assert "Beyond chance after Holm's correction: without papers." in plot.note


def test_questions_on_one_document_are_no_independent_evidence_of_a_cost() -> None:
    items = []
    for number in range(40):
        slower = 100.0 + 10 * (number % 2)
        items += [timed(("questions/news", "all"), number, 100.0, 2)]
        items += [timed(("questions/news", "without news"), number, slower, 2)]
    plot = costs(gather(items))
    assert isinstance(plot, Plot)
    assert (plot.series[0].y, plot.series[0].low, plot.series[0].high) == ([5.0], [0.0], [10.0])
    assert "Beyond chance after Holm's correction: none." in plot.note
    assert costs(gather([timed(("questions/news", "all"), 1, 1.0)])) is None


def test_the_curve_by_k_has_the_intervals_of_the_table() -> None:
    items = [item(("squad", "bm25@3"), number, {"accuracy": float(number % 4 < 2)}, 4) for number in range(40)]
    [plot] = by_k(items)
    assert isinstance(plot, Plot)
    cell = estimate(gather(items)["squad", "bm25@3"].scored, "accuracy", "proportion")
    assert cell is not None
    assert (plot.series[0].low, plot.series[0].high) == ([cell.low], [cell.high])
    assert cell.high - cell.low > 0.5
