"""The plots of the suite, as data: curves by update, and from which change of ways the gain comes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from services.evaluation.grpo.measures import SWITCHES
from services.evaluation.statistics.intervals import bootstrap
from services.evaluation.suites.curve import with_intervals
from services.evaluation.suites.spurious.gathered import Trained, gather
from shared.contracts.evaluation import Item
from shared.contracts.figure import Figure, Plot, Series

Curve = Callable[[Trained], dict[int, float]]
"""A value by update of the weights."""

_SEEDS = "Means over seeds with bootstrap intervals over them; all seeds begin with the same weights of the model."


def figures(items: Iterable[Item]) -> list[Figure]:
    """For each model its curves of accuracy, code, reward and clipping, and the contributions of the switches."""
    found: list[Figure] = []
    for model, settings in gather(items).items():
        found += [
            _curves(model, settings, "accuracy on the test problems", _accuracy),
            _curves(model, settings, "share of answers that are code", _code),
            _curves(model, settings, "mean reward of a rollout", _logged("reward")),
            _curves(model, settings, "share of tokens that are clipped", _logged("clip_ratio/region_mean")),
            _contributions(model, settings),
        ]
    return found


def _accuracy(trained: Trained) -> dict[int, float]:
    return {sheet.step: sheet.accuracy for sheet in trained.sheets}


def _code(trained: Trained) -> dict[int, float]:
    return {sheet.step: sheet.code_frequency for sheet in trained.sheets}


def _logged(name: str) -> Curve:
    return lambda trained: {line["step"]: line[name] for line in trained.log if name in line}


def _curves(model: str, settings: Mapping[str, Sequence[Trained]], what: str, curve: Curve) -> Plot:
    return Plot(
        kind="line",
        title=f"{model}: {what}, by update",
        x_title="updates of the weights",
        y_title=what,
        series=[_series(name, [curve(one) for one in trained]) for name, trained in settings.items()],
        note=_SEEDS,
    )


def _series(name: str, curves: Sequence[dict[int, float]]) -> Series:
    """Over the steps that every seed has."""
    steps = sorted(set[int].intersection(*(set(curve) for curve in curves)))
    points = [bootstrap([curve[step] for curve in curves], resamples=1000) for step in steps]
    return with_intervals(name, steps, points)


def _contributions(model: str, settings: Mapping[str, Sequence[Trained]]) -> Plot:
    series = []
    for before, after in SWITCHES:
        points = [
            bootstrap([one.scores[f"{before}_to_{after}"] for one in trained], resamples=1000)
            for trained in settings.values()
        ]
        series.append(with_intervals(f"{before} to {after}", list(settings), points))
    return Plot(
        kind="bar",
        title=f"{model}: which problems the gain comes from",
        x_title="reward",
        y_title="contribution to the gain in accuracy",
        series=series,
        note="Problems by how they were answered before and after, in code or in words; for each setting the four sum "
        f"to its gain. {_SEEDS}",
    )
