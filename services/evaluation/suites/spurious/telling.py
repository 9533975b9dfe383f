"""The run in plain words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from services.evaluation.statistics.intervals import bootstrap
from services.evaluation.suites.spurious.gathered import Trained, gather
from shared.contracts.evaluation import Item


def told(items: Iterable[Item]) -> list[str]:
    """A paragraph a model: where it began, what each reward made of it, and what the labels were worth."""
    return [_model(model, settings) for model, settings in gather(items).items()]


def _model(model: str, settings: Mapping[str, Sequence[Trained]]) -> str:
    [first, *_] = next(iter(settings.values()))
    begin = first.sheets[0]
    gains = "; ".join(f"{name} {_gain(trained)}" for name, trained in settings.items())
    labels = next((one.labels for trained in settings.values() for one in trained if one.labels), None)
    majority = (
        f" Of the majority's labels {labels['right']} were right, {labels['wrong']} wrong, {labels['missing']} missing."
        if labels
        else ""
    )
    return (
        f"{model} answered {begin.accuracy:.1%} of {len(begin.right)} test problems before training, "
        f"{begin.code_frequency:.0%} of them with code. Gains in accuracy, in points, with 95% intervals over seeds: "
        f"{gains}.{majority}"
    )


def _gain(trained: Sequence[Trained]) -> str:
    found = bootstrap([100 * one.scores["gain"] for one in trained])
    code = sum(one.scores["code"] for one in trained) / len(trained)
    interval = f"{found.low:+.1f} to {found.high:+.1f}" if len(trained) > 1 else "one seed has no interval"
    return f"{found.mean:+.1f} ({interval}; code then {code:.0%})"
