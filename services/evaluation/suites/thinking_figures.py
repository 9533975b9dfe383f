"""The curves of `thinking`, as data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from services.evaluation.statistics.intervals import interval
from services.evaluation.suites.curve import with_intervals
from services.evaluation.suites.thinking_samples import KS, choice, correct
from shared.contracts.evaluation import Item
from shared.contracts.figure import Figure, Plot, Series

_RULES = ("majority", "confidence", "verifier")


def curves(items: Iterable[Item]) -> list[Figure]:
    """For each set: pass@k by mode and budget; accuracy by mode and rule, against tokens, and against time."""
    sets: dict[str, dict[str, list[_Answered]]] = {}
    for item in items:
        if item.status == "scored":
            sets.setdefault(item.set, {}).setdefault(item.setting, []).append(_answered(item))
    return [
        figure
        for name, groups in sets.items()
        for figure in (
            _passes(name, groups),
            *(_against_tokens(name, groups, rule) for rule in _RULES),
            _against_time(name, groups),
        )
    ]


@dataclass(frozen=True)
class _Answered:
    """What the curves need of an item: `samples` without their texts, and which of them are right."""

    scores: dict[str, float]
    samples: list[dict[str, Any]]
    right: list[bool]


def _answered(item: Item) -> _Answered:
    kept = ("final", "confidence", "tokens", "verified")
    samples = [{key: one[key] for key in kept} for one in item.details["samples"]]
    return _Answered(item.scores, samples, correct(item.gold, item.details["samples"]))


def _passes(name: str, groups: Mapping[str, Sequence[_Answered]]) -> Plot:
    series = []
    for setting, items in groups.items():
        ks = [k for k in KS if all(f"pass@{k}" in item.scores for item in items)]
        points = [[item.scores[f"pass@{k}"] for item in items] for k in ks]
        series.append(_series(setting, [float(k) for k in ks], points))
    return Plot(
        kind="line",
        title=f"{name}: pass@k",
        x_title="k, samples",
        y_title="pass@k",
        series=series,
        x_log=True,
        note="The chance that one of k samples is right, by mode and budget of tokens a sample. Which of them it is "
        "must be known from elsewhere: without a verifier it is not the accuracy of an answer.",
    )


def _against_tokens(name: str, groups: Mapping[str, Sequence[_Answered]], rule: str) -> Plot:
    """A point for each number of samples, a line for each mode and budget."""
    series = []
    for setting, items in groups.items():
        sizes = [k for k in KS if all(k <= len(item.samples) for item in items)]
        blocks = [[_of_blocks(item, rule, size) for item in items] for size in sizes]
        spent = [fmean(tokens for tokens, _ in row) for row in blocks]
        series.append(_series(setting, spent, [[right for _, right in row] for row in blocks]))
    return Plot(
        kind="line",
        title=f"{name}: accuracy by {rule} against tokens",
        x_title="tokens of all samples of a question",
        y_title="accuracy",
        series=series,
        x_log=True,
        note="Points along a line are 1, 2, 4, ... samples: those of a question are cut into groups of that size, "
        "each group chooses an answer, and the mean over groups counts. A verifier knows the gold answer.",
    )


def _of_blocks(item: _Answered, rule: str, size: int) -> tuple[float, float]:
    """Tokens of a group of `size` samples and the share of groups whose choice is right, over disjoint groups.

    Samples are exchangeable, so each group is what a run with so few samples would have given.
    """
    tokens, hits = [], []
    for begin in range(0, len(item.samples) - size + 1, size):
        group, truth = item.samples[begin : begin + size], item.right[begin : begin + size]
        chosen = choice(rule, group, truth)
        tokens.append(sum(one["tokens"] for one in group))
        hits.append(float(chosen is not None and truth[chosen]))
    return fmean(tokens), fmean(hits)


def _against_time(name: str, groups: Mapping[str, Sequence[_Answered]]) -> Plot:
    """A point for each budget, a line for each mode and rule."""
    lines: dict[str, list[tuple[float, list[float]]]] = {}
    for setting, items in groups.items():
        seconds = fmean(item.scores["milliseconds"] for item in items) / 1000
        for rule in _RULES:
            right = [item.scores[rule] for item in items]
            lines.setdefault(f"{setting.split('@')[0]} {rule}", []).append((seconds, right))
    series = [
        _series(line, [seconds for seconds, _ in points], [right for _, right in points])
        for line, points in ((line, sorted(points, key=lambda point: point[0])) for line, points in lines.items())
    ]
    return Plot(
        kind="line",
        title=f"{name}: accuracy against time",
        x_title="seconds of a request with all its samples, mean",
        y_title="accuracy",
        series=series,
        note="Points along a line are the budgets. The time is what this machine took while other questions of the run "
        "were answered beside, so it compares modes on one machine and says nothing of another.",
    )


def _series(name: str, x: Sequence[float], values: Sequence[Sequence[float]]) -> Series:
    estimates = [interval(value, resamples=2000) for value in values]
    return with_intervals(name, x, estimates)
