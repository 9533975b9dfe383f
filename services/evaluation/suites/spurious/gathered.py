"""The outcomes of a run by model and setting, in one pass over its items."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from services.evaluation.grpo.measures import Sheet
from shared.contracts.evaluation import Item


@dataclass(frozen=True)
class Trained:
    """One training: its sheets of the test problems in order, trl's log, its scores."""

    sheets: list[Sheet]
    log: list[dict[str, Any]]
    scores: dict[str, float]
    labels: dict[str, int]


Outcomes = dict[str, dict[str, list[Trained]]]
"""By model and setting, a training a seed."""


def gather(items: Iterable[Item]) -> Outcomes:
    """Those that are done."""
    found: Outcomes = {}
    for item in items:
        if item.status == "scored":
            sheets = [Sheet.model_validate(one) for one in item.details["sheets"]]
            trained = Trained(sheets, item.details["log"], dict(item.scores), item.details["labels"])
            found.setdefault(item.set, {}).setdefault(item.setting, []).append(trained)
    return found
