"""Suites over an endpoint that is no Candor stack: what can be asked there, and how.

Such a server has neither owners nor retrieval, and many would pass over a `candor` object in silence: an answer that
read nothing would be scored as if it had. So it is sent none, and what needs one is not asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

from services.evaluation.errors import OnlyOfAStack
from services.evaluation.suites.base import Plan, Planned, Suite
from shared.contracts.candor import SamplingOptions


@dataclass(frozen=True)
class Outside:
    """An endpoint that is no Candor stack: its name in the settings, and the model to ask for."""

    name: str
    model: str


@runtime_checkable
class Portable(Protocol):
    """A suite that can ask such an endpoint some of what it asks a stack, if not all."""

    def outside(self, plan: Plan, there: Outside) -> Plan:
        """The plan as it is asked there. What cannot be asked is left out, and the warnings say so."""
        ...


def planned_for(there: Outside, suite: Suite, plan: Callable[[], Plan]) -> Plan:
    """What `plan` makes, for such an endpoint. Raises OnlyOfAStack where nothing can be asked there, and what `plan`
    raises."""
    if not isinstance(suite, Portable):
        raise OnlyOfAStack(f"The suite {suite.id} asks what only a Candor stack has, and {there.name!r} is none.")
    found = suite.outside(plan(), there)
    if not found.items:
        raise OnlyOfAStack(f"Nothing of {suite.id} can be asked of {there.name!r}. {' '.join(found.warnings)}")
    return found


def each(plan: Plan, there: Outside, ask: Callable[[Planned], dict[str, Any] | None]) -> Plan:
    """The plan with what `ask` makes of each item's `ask`; items of which it makes None are left out."""
    items, out = list[Planned](), dict[str, None]()
    for item in plan.items:
        if (found := ask(item)) is not None:
            items.append(replace(item, ask=found))
        else:
            out[item.setting] = None
    warnings = [f"{there.name} is no Candor stack: {', '.join(out)} cannot be asked there."] if out else []
    return Plan(items, {**plan.versions, "model": there.model}, [*plan.warnings, *warnings])


def chat(ask: Mapping[str, Any], model: str) -> dict[str, Any] | None:
    """An item's `ask` whose `body`, a chat completion, has no `candor` object; None if that asked for what only a stack
    has.

    One sample with as many tokens can be had anywhere. How a model thinks is left to it, but where its thinking was
    asked for.
    """
    asked: Mapping[str, Any] | None = ask["body"].get("candor")
    body = plain(ask["body"], model)
    if asked is None:
        return {**ask, "body": body}
    retrieval, sampling = asked.get("retrieval", {}), asked.get("sampling", {})
    if (
        (retrieval is not False and retrieval.get("enabled", True))
        or asked.get("owners")
        or asked.get("memfree")
        or sampling.get("samples", 1) != 1
        or sampling.get("mode") == "thinking"
        or sampling.get("verifier")
    ):
        return None
    default = {"max_tokens": SamplingOptions().budget}
    return {**ask, "body": default | body | ({"max_tokens": sampling["budget"]} if "budget" in sampling else {})}


def plain(body: Mapping[str, Any], model: str) -> dict[str, Any]:
    """A request as any server takes it: for this model, and without a `candor` object."""
    return {key: value for key, value in body.items() if key != "candor"} | {"model": model}
