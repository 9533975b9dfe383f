"""The curves of `thinking`, as data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from services.evaluation.statistics.intervals import bootstrap
from services.evaluation.suites.thinking_samples import KS, choice, correct
from shared.contracts.evaluation import Item
from shared.contracts.figure import Figure, Plot, Series

_RULES = ("majority", "confidence", "verifier")


def curves(items: Iterable[Item]) -> list[Figure]:
    """For each set: pass@k by mode and budget; accuracy by mode and rule, against tokens, and against time."""
    scored = [item for item in items if item.status == "scored"]
    figures: list[Figure] = []
    for name in dict.fromkeys(item.set for item in scored):
        groups: dict[str, list[Item]] = {}
        for item in scored:
            if item.set == name:
                groups.setdefault(item.setting, []).append(item)
        figures += [_passes(name, groups), _against_tokens(name, groups), _against_time(name, groups)]
    return figures


def _passes(name: str, groups: Mapping[str, Sequence[Item]]) -> Plot:
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


def _against_tokens(name: str, groups: Mapping[str, Sequence[Item]]) -> Plot:
    """A point for each budget and number of samples, a line for each mode, budget and rule."""
    series = []
    for setting, items in groups.items():
        sizes = [k for k in KS if all(k <= len(item.details["samples"]) for item in items)]
        for rule in _RULES:
            blocks = [[_of_blocks(item, rule, size) for item in items] for size in sizes]
            spent = [fmean(tokens for tokens, _ in row) for row in blocks]
            series.append(_series(f"{setting} {rule}", spent, [[right for _, right in row] for row in blocks]))
    return Plot(
        kind="line",
        title=f"{name}: accuracy against tokens",
        x_title="tokens of all samples of a question",
        y_title="accuracy",
        series=series,
        x_log=True,
        note="Points along a line are 1, 2, 4, ... samples: those of a question are cut into groups of that size, "
        "each group chooses an answer, and the mean over groups counts. verifier knows the gold answer.",
    )


def _of_blocks(item: Item, rule: str, size: int) -> tuple[float, float]:
    """Tokens of a group of `size` samples and the share of groups whose choice is right, over disjoint groups.

    Samples are exchangeable, so each group is what a run with so few samples would have given.
    """
    samples = item.details["samples"]
    right = correct(item.gold, samples)
    tokens, hits = [], []
    for begin in range(0, len(samples) - size + 1, size):
        group, truth = samples[begin : begin + size], right[begin : begin + size]
        chosen = choice(rule, group, truth)
        tokens.append(sum(one["tokens"] for one in group))
        hits.append(float(chosen is not None and truth[chosen]))
    return fmean(tokens), fmean(hits)


def _against_time(name: str, groups: Mapping[str, Sequence[Item]]) -> Plot:
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
    estimates = [bootstrap(value, resamples=2000) for value in values]
    return Series(
        name=name,
        x=list(x),
        y=[one.mean for one in estimates],
        low=[one.low for one in estimates],
        high=[one.high for one in estimates],
    )
