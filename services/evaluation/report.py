"""A run's items as figures: the scores of each set and setting, and paired comparisons between settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any, TypeVar

import numpy as np

from services.evaluation import sound
from services.evaluation.calling import tried
from services.evaluation.cautions import Basis, bases, basis_between, few_clusters
from services.evaluation.endpoint import EndpointError
from services.evaluation.estimates import corrected, estimate, paired, pairs
from services.evaluation.measured import Group, Place, gather
from services.evaluation.rescoring import kinds
from services.evaluation.statistics.intervals import proportion
from services.evaluation.suites.base import RATES, BadAnswer, Kind, Suite, contrasts, figures, summary
from shared.contracts.evaluation import Cell, Comparison, Estimate, Item, Report, Run
from shared.contracts.figure import Figure
from shared.http.errors import CandorError

Row = TypeVar("Row", bound=tuple[str, Cell])


def build_report(run: Run, items: Sequence[Item], suite: Suite) -> Report:
    """The report of the items that are done. Failed items have no score: they are counted beside."""
    groups, metrics = gather(items), kinds(suite, run.metrics)
    settings = list(dict.fromkeys(setting for _, setting in groups))
    faults: list[str] = []
    against = _part(suite, "contrasts", lambda: contrasts(suite, settings), tuple[str, str], faults)
    compared = [*suite.compared, *(name for name in run.metrics if name not in suite.compared)]
    found = [
        comparison
        for one in dict.fromkeys(name for name, _ in groups)
        for contrast in against
        for metric in compared
        if (comparison := _compare(one, metric, contrast, groups, metrics[metric])) is not None
    ]
    return Report(
        run=run,
        metrics=list(metrics),
        cells=cells(groups, metrics),
        comparisons=corrected([comparison for comparison, _ in found]),
        figures=_part(suite, "figures", lambda: _drawn(suite, items), Figure, faults),
        summary=[*_part(suite, "summary", lambda: summary(suite, items), str, faults), *faults],
        warnings=few_clusters([*bases(groups, metrics), *(of for _, of in found)]),
    )


def _part(suite: Suite, part: str, say: Callable[[], Any], kind: Any, faults: list[str]) -> list[Any]:
    """What a suite says beyond the scores; its fault costs the report no more than that."""
    try:
        return tried(suite.id, part, lambda: sound.checked(list[kind], say()))
    except (CandorError, EndpointError, BadAnswer) as fault:
        faults.append(str(fault))
        return []


def _drawn(suite: Suite, items: Sequence[Item]) -> list[Any]:
    """The figures as they are read again from where the report is kept."""
    return [figure.model_dump(mode="json") for figure in figures(suite, items)]


def cells(groups: Mapping[Place, Group], metrics: Mapping[str, Kind]) -> list[Cell]:
    """The scores of each set under each setting."""
    return [_cell(place, group, metrics) for place, group in groups.items()]


def tables(rows: Sequence[Row], metrics: Sequence[str]) -> list[tuple[list[str], list[Row]]]:
    """The rows of sets that have the same of these metrics together, under those.

    One table of sets that are measured by different things would be wide and mostly empty.
    """
    measured: dict[str, set[str]] = {}
    for _, cell in rows:
        measured.setdefault(cell.set, set()).update(cell.scores)
    found: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        found.setdefault(tuple(name for name in metrics if name in measured[row[1].set]), []).append(row)
    return [([*shown], alike) for shown, alike in found.items()]


def _cell(place: Place, group: Group, metrics: Mapping[str, Kind]) -> Cell:
    scores = {
        name: found for name, kind in metrics.items() if (found := estimate(group.scored, name, kind)) is not None
    }
    rates = {name: estimate(group.scored, name, "proportion") for name in RATES}
    p50, p95 = np.percentile(group.latencies, [50, 95]).tolist() if group.latencies else (None, None)
    return Cell(
        set=place[0],
        setting=place[1],
        items=len(group.scored),
        failed=len(group.failed),
        clusters=len({one.cluster for one in group.scored}),
        failure=_failure(group),
        truncated=rates["truncated"],
        unparsed=rates["unparsed"],
        tokens=fmean(group.tokens) if group.tokens else None,
        latency_p50=p50,
        latency_p95=p95,
        scores=scores,
    )


def _failure(group: Group) -> Estimate:
    """The rate of failed items: those of a document that is too long fail together, say."""
    failures = [1.0] * len(group.failed) + [0.0] * len(group.scored)
    return proportion(failures, [*group.failed, *(one.cluster for one in group.scored)])


def _compare(
    name: str, metric: str, contrast: tuple[str, str], groups: Mapping[Place, Group], kind: Kind
) -> tuple[Comparison, Basis] | None:
    """The questions of a set that were scored under both settings; None if there are none."""
    setting, against = contrast
    if (name, setting) not in groups or (name, against) not in groups:
        return None
    both = pairs(groups[name, setting].scored, groups[name, against].scored)
    found = paired(both, metric, kind)
    if found is None:
        return None
    comparison = Comparison(set=name, metric=metric, setting=setting, against=against, **dict(found))
    return comparison, basis_between(name, both, metric, kind)
