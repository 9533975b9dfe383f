"""A run's items as figures: the scores of each set and setting, and paired comparisons between settings."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from services.evaluation.statistics.intervals import bootstrap, wilson
from services.evaluation.statistics.paired import mcnemar, sign_flip
from services.evaluation.suites.base import Kind, Suite, contrasts, figures, summary
from shared.contracts.evaluation import Cell, Comparison, Estimate, Item, Report, Run


def build_report(run: Run, items: Sequence[Item], suite: Suite) -> Report:
    """The report of the items that are done. Failed items have no score: they are counted beside."""
    sets = list(dict.fromkeys(item.set for item in items))
    settings = list(dict.fromkeys(item.setting for item in items))
    cells = [cell for one in sets for setting in settings if (cell := _cell(one, setting, items, suite)) is not None]
    comparisons = [
        comparison
        for one in sets
        for contrast in contrasts(suite, settings)
        for metric in suite.compared
        if (comparison := _compare(one, metric, contrast, items, suite.metrics[metric])) is not None
    ]
    return Report(
        run=run,
        metrics=list(suite.metrics),
        cells=cells,
        comparisons=comparisons,
        figures=figures(suite, items),
        summary=summary(suite, items),
    )


def _cell(name: str, setting: str, items: Sequence[Item], suite: Suite) -> Cell | None:
    here = [item for item in items if item.set == name and item.setting == setting]
    scored = [item for item in here if item.status == "scored"]
    failed = sum(item.status == "failed" for item in here)
    if not scored and not failed:
        return None
    scores = {
        metric: _estimate(values, kind)
        for metric, kind in suite.metrics.items()
        if (values := [item.scores[metric] for item in scored if metric in item.scores])
    }
    return Cell(set=name, setting=setting, items=len(scored), failed=failed, scores=scores)


def _estimate(values: Sequence[float], kind: Kind) -> Estimate:
    return wilson(round(sum(values)), len(values)) if kind == "proportion" else bootstrap(values)


def _compare(name: str, metric: str, contrast: tuple[str, str], items: Sequence[Item], kind: Kind) -> Comparison | None:
    """The questions of a set that were scored under both settings; None if there are none."""
    setting, against = contrast
    one, other = _scores(name, metric, setting, items), _scores(name, metric, against, items)
    paired = [(one[question], other[question]) for question in one if question in other]
    if not paired:
        return None
    differences = [first - second for first, second in paired]
    difference = bootstrap(differences).model_copy(update={"mean": fmean(differences)})
    if kind == "proportion":
        p = mcnemar(sum(one > 0 for one in differences), sum(one < 0 for one in differences))
    else:
        p = sign_flip(differences)
    return Comparison(
        set=name,
        metric=metric,
        setting=setting,
        against=against,
        items=len(paired),
        difference=difference,
        test="mcnemar" if kind == "proportion" else "sign_flip",
        p=p,
    )


def _scores(name: str, metric: str, setting: str, items: Sequence[Item]) -> dict[str, float]:
    """Scores by question."""
    return {
        item.question_id: item.scores[metric]
        for item in items
        if item.set == name and item.setting == setting and metric in item.scores
    }
