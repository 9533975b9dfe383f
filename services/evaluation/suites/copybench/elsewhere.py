"""What of the suite can be asked of a model that is one piece: everyone in, and told not to copy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from services.evaluation.suites.base import Plan, Planned
from services.evaluation.suites.copybench.asked import SYSTEM_PROMPT_SETTING
from services.evaluation.suites.outside import Outside, each, plain
from services.evaluation.suites.owners.measure import ALL


def elsewhere(plan: Plan, there: Outside) -> Plan:
    """The plan for such a model. It cannot judge by public experts, which it has not: another judge must be named."""
    found = each(plan, there, lambda item: _ask(item, there.model))
    if not any(_judges_itself(item.ask) for item in plan.items):
        return found
    unjudged = f"{there.name} cannot judge its own stories: for events and fluency name a judge, --option judge=NAME."
    return replace(found, warnings=[*found.warnings, unjudged])


def _ask(planned: Planned, model: str) -> dict[str, Any] | None:
    if planned.setting not in (ALL, SYSTEM_PROMPT_SETTING):
        return None
    unjudged: dict[str, Any] = {"events": [], "passages": []} if _judges_itself(planned.ask) else {}
    return {**planned.ask, "body": plain(planned.ask["body"], model), **unjudged}


def _judges_itself(ask: Mapping[str, Any]) -> bool:
    return bool("judges" in ask and (ask["events"] or ask["passages"]))
