"""From items to figures."""

from typing import Any

import pytest

from services.evaluation.report import build_report
from services.evaluation.statistics.intervals import wilson
from services.evaluation.statistics.paired import holm
from services.evaluation.suites.membership.suite import Membership
from services.evaluation.suites.rag_qa import RagQa
from services.evaluation.table import markdown
from shared.contracts.evaluation import Comparison, Estimate, Item, Report, Run, RunProgress

SETTINGS = ("all", "without papers")

RUN = Run(
    id="eval-1",
    suite="rag-qa",
    status="succeeded",
    created=0,
    finished=9,
    limit=10,
    seed=0,
    options={},
    versions={"suite": "rag-qa/1"},
    progress=RunProgress(done=20, total=20, failed=1),
    warnings=["squad: not asked under rag_without_owner."],
)


def item(question: int, setting: str, **scores: float) -> Item:
    values: dict[str, Any] = {"prompt": None, "output": None, "tokens": None, "latency_ms": None, "seed": 0}
    return Item(
        id=f"q{question}@{setting}",
        question_id=f"q{question}",
        cluster=f"q{question}",
        status="scored" if scores else "failed",
        setting=setting,
        set="tales",
        question="Who?",
        gold=["Anna"],
        scores=scores,
        error=None if scores else "HTTP 500",
        **values,
    )


@pytest.fixture
def report() -> Report:
    """Ten questions. Right with retrieval: 0 to 7; closed book: 0 and 9; question 8 failed with retrieval."""
    closed = [item(n, "closed_book", contains_gold=float(n in (0, 9)), f1=n / 10) for n in range(10)]
    rag = [item(n, "rag", contains_gold=float(n < 8), f1=1.0) for n in range(10) if n != 8]
    return build_report(RUN, [*closed, *rag, item(8, "rag")], RagQa())


def _compared(report: Report, metric: str) -> Comparison:
    [found] = [one for one in report.comparisons if one.metric == metric]
    return found


def test_a_failed_item_is_counted_beside_and_has_no_score(report: Report) -> None:
    [rag] = [cell for cell in report.cells if cell.setting == "rag"]
    assert (rag.items, rag.failed) == (9, 1)
    assert rag.scores["contains_gold"] == wilson(8, 9)
    assert "exact_match" not in rag.scores


def test_items_of_a_cluster_that_fail_together_are_no_independent_failures() -> None:
    def rate(clustered: bool) -> Estimate:
        items = [item(n, "rag", **({} if n < 10 else {"f1": 1.0})) for n in range(40)]
        if clustered:
            items = [one.model_copy(update={"cluster": f"document {n // 10}"}) for n, one in enumerate(items)]
        [cell] = build_report(RUN, items, RagQa()).cells
        return cell.failure

    alone, together = rate(clustered=False), rate(clustered=True)
    assert alone == wilson(10, 40)
    assert together.mean == alone.mean
    # one document of four
    assert together.low < 0.05
    assert together.high > 0.6


def test_figures_of_few_documents_say_so_and_those_that_are_wilsons_alone_need_not() -> None:
    def of(documents: int, **scores: float) -> Report:
        items = [item(n, "rag", **scores) for n in range(40)]
        return build_report(
            RUN, [one.model_copy(update={"cluster": f"d{int(one.id[1:-4]) % documents}"}) for one in items], RagQa()
        )

    few = of(4, contains_gold=1.0, f1=0.5)
    text = markdown(few)
    assert "| tales | rag | 40 in 4 clusters | 0 |" in text
    assert few.cells[0].clusters == 4
    [warning] = few.warnings
    assert "tales (4)" in warning
    assert f"- {warning}" in text
    assert of(4, contains_gold=1.0).warnings == of(10, contains_gold=1.0, f1=0.5).warnings == []


@pytest.mark.parametrize(("members", "others", "said"), [(5, 5, 5), (3, 60, 3), (60, 4, 4), (9, 10, 9), (10, 10, None)])
def test_of_two_groups_it_is_the_smaller_whose_clusters_may_be_too_few(
    members: int, others: int, said: int | None
) -> None:
    items = [
        item(n, setting, member=float(n < members), loss=n / 10)
        for n in range(members + others)
        for setting in SETTINGS
    ]
    warnings = build_report(RUN, items, Membership()).warnings
    assert (said is None) == (not warnings)
    assert said is None or f"tales ({said} in the smaller of two groups)." in warnings[0]


def test_a_difference_of_two_groups_is_of_the_members_that_both_settings_have() -> None:
    """Twenty members under each setting, of which they share four."""
    items = [item(n, setting, member=0.0, loss=1.0) for n in range(100, 120) for setting in SETTINGS]
    items += [item(n + 16 * at, one, member=1.0, loss=0.5) for n in range(20) for at, one in enumerate(SETTINGS)]
    [warning] = build_report(RUN, items, Membership()).warnings
    assert "tales (4 in the smaller of two groups)." in warning


def test_only_questions_scored_under_both_settings_are_compared(report: Report) -> None:
    comparison = _compared(report, "contains_gold")
    assert (comparison.setting, comparison.against, comparison.items) == ("rag", "closed_book", 9)
    # 1 to 7 are right only with retrieval, 9 only without: 2 * (C(8,0) + C(8,1)) / 2^8
    assert comparison.difference.mean == pytest.approx(6 / 9)
    assert comparison.p == pytest.approx(2 * 9 / 256)
    assert comparison.test == "mcnemar"


def test_a_score_that_is_no_proportion_is_tested_by_flipping_signs(report: Report) -> None:
    comparison = _compared(report, "f1")
    assert comparison.test == "sign_flip"
    assert comparison.difference.mean == pytest.approx(1 - (sum(range(10)) - 8) / 90)
    assert comparison.difference.low < comparison.difference.mean < comparison.difference.high
    # all nine differences have one sign: the smallest p there is for nine pairs
    assert comparison.p == pytest.approx(2 / 2**9, abs=0.002)


def test_holms_family_is_every_comparison_of_the_report_over_sets_settings_and_metrics() -> None:
    items = [
        one.model_copy(update={"set": name})
        for name, better in (("tales", 8), ("news", 3))
        for place, setting in enumerate(("closed_book", "rag", "rag_without_owner"))
        for one in (item(n, setting, contains_gold=float(n < better * (place == 1)), f1=n / 10) for n in range(10))
    ]
    comparisons = build_report(RUN, items, RagQa()).comparisons
    places = {(one.set, one.setting, one.metric) for one in comparisons}
    assert len(places) == len(comparisons) == 2 * 2 * 2
    assert [one.p_holm for one in comparisons] == holm([one.p for one in comparisons])
    smallest = min(comparisons, key=lambda one: one.p)
    assert smallest.p_holm == pytest.approx(8 * smallest.p)


def test_a_run_without_a_finished_item_has_an_empty_report() -> None:
    report = build_report(RUN, [], RagQa())
    assert not report.cells
    assert not report.comparisons
    assert "rag-qa" in markdown(report)


def test_markdown_holds_every_figure_and_every_warning(report: Report) -> None:
    text = markdown(report)
    assert "| set | setting | n | failed | contains_gold | f1 |" in text
    assert "| tales | rag | 9 | 1 (10.0%) | 0.889 [0.565, 0.980] | 1.000 [0.701, 1.000] |" in text
    assert "| tales | contains_gold | rag - closed_book | 9 | +0.667 [" in text
    assert "- squad: not asked under rag_without_owner." in text
    assert all(line.count("|") == 7 for line in text.splitlines() if line.startswith("| tales | rag |"))
