"""How an evaluation's report reads."""

import io

from rich.console import Console

from gateway.cli.report import show_report
from shared.contracts.evaluation import Cell, Comparison, Estimate, Report, Run, RunProgress

RUN = Run(
    id="run-1",
    suite="rag-qa",
    status="succeeded",
    created=0,
    finished=1,
    limit=100,
    seed=0,
    options={},
    versions={},
    progress=RunProgress(done=200, total=200, failed=3),
    warnings=["squad is public"],
)


def test_a_report_shows_each_score_with_its_interval_and_each_comparison_with_its_p() -> None:
    cell = Cell(
        set="squad",
        setting="rag",
        items=100,
        failed=3,
        clusters=100,
        failure=Estimate(mean=0.03, low=0.01, high=0.08),
        truncated=Estimate(mean=0.25, low=0.2, high=0.3),
        scores={"contains": Estimate(mean=0.42, low=0.33, high=0.52)},
    )
    comparison = Comparison(
        set="squad",
        metric="contains",
        setting="rag",
        against="closed_book",
        items=100,
        clusters=100,
        difference=Estimate(mean=0.38, low=0.28, high=0.47),
        test="mcnemar",
        p=1e-9,
        p_holm=3e-3,
    )
    target = io.StringIO()
    show_report(
        Report(run=RUN, metrics=["contains"], cells=[cell], comparisons=[comparison]), Console(file=target, width=120)
    )
    rows = {" ".join(line.split()) for line in target.getvalue().splitlines()}
    assert {"squad rag 100 3.0% 25.0% 0.420", "[0.330, 0.520]"} <= rows
    assert "squad contains rag - closed_book 100 +0.380 [+0.280, +0.470] < 0.0001 0.003 mcnemar" in rows
    assert "Note: squad is public" in rows
    assert "3 of 200 items failed." in rows


def test_more_scores_than_the_terminal_is_wide_have_a_line_each() -> None:
    half = Estimate(mean=0.5, low=0.25, high=0.75)
    cells = [
        Cell(
            set="qwen2",
            setting=setting,
            items=6,
            failed=0,
            clusters=6,
            failure=Estimate(mean=0.0, low=0.0, high=0.39),
            scores={f"a_score_of_a_long_name_{number}": half for number in range(9)},
        )
        for setting in ("truth", "coin")
    ]
    run = RunProgress(done=12, total=12, failed=0)
    target = io.StringIO()
    show_report(
        Report(run=RUN.model_copy(update={"progress": run}), metrics=[*cells[0].scores], cells=cells, comparisons=[]),
        Console(file=target, width=120),
    )
    rows = [" ".join(line.split()) for line in target.getvalue().splitlines()]
    assert "qwen2 truth 6 0.0% a_score_of_a_long_name_0 0.500 [0.250, 0.750]" in rows
    assert rows.count("a_score_of_a_long_name_8 0.500 [0.250, 0.750]") == 2
    assert "…" not in target.getvalue()


def test_items_in_fewer_clusters_are_told_with_them_and_what_warns_of_it_is_shown() -> None:
    half = Estimate(mean=0.5, low=0.25, high=0.75)
    cell = Cell(set="squad", setting="rag", items=40, failed=0, clusters=4, failure=half, scores={"f1": half})
    comparison = Comparison(
        set="squad", metric="f1", setting="rag", against="closed_book", items=39, clusters=3, difference=half,
        test="sign_flip", p=0.25, p_holm=0.25,
    )  # fmt: skip
    report = Report(run=RUN, metrics=["f1"], cells=[cell], comparisons=[comparison], warnings=["Few clusters."])
    target = io.StringIO()
    show_report(report, Console(file=target, width=120))
    told = " ".join(target.getvalue().split())
    assert "squad rag 40 50.0% 0.500 in 4 clusters [0.250, 0.750]" in told
    assert "in 3 clusters" in told
    assert "Note: Few clusters." in told
