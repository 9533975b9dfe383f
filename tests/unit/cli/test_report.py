"""How an evaluation's report reads."""

import io

from rich.console import Console

from gateway.cli.report import show_report
from shared.contracts.evaluation import Cell, Comparison, Estimate, Report, Run, RunProgress


def test_a_report_shows_each_score_with_its_interval_and_each_comparison_with_its_p() -> None:
    run = Run(
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
        Report(run=run, metrics=["contains"], cells=[cell], comparisons=[comparison]), Console(file=target, width=120)
    )
    rows = {" ".join(line.split()) for line in target.getvalue().splitlines()}
    assert {"squad rag 100 3.0% 25.0% 0.420", "[0.330, 0.520]"} <= rows
    assert "squad contains rag - closed_book 100 +0.380 [+0.280, +0.470] < 0.0001 0.003 mcnemar" in rows
    assert "Note: squad is public" in rows
    assert "3 of 200 items failed." in rows
