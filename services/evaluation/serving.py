"""What serves a run, and whether it is what served it before the service was started again."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field

from services.evaluation import sound
from services.evaluation.calling import awaited
from services.evaluation.endpoint import Endpoint, EndpointError
from services.evaluation.endpoints import Endpoints
from services.evaluation.suites.base import Suite
from services.evaluation.suites.served import served
from shared.contracts.evaluation import Run

_TRIES = 5
"""To find an endpoint again in mid-run: on a machine that starts anew the model is there long after this service."""

_PLACE = "endpoint"
"""The version that says where the endpoint is, and not what it is."""

_WEIGHTS = "weights"


class OtherModel(Exception):
    """Something else serves than what the run was planned for or begun with; the message is the run's error."""


@dataclass(frozen=True)
class Served:
    """Versions to keep with the run, and what to know of them."""

    versions: dict[str, str]
    warnings: list[str] = field(default_factory=list)


async def describe(about: Run, suite: Suite, endpoint: Endpoint, endpoints: Endpoints) -> Served:
    """What serves now. Raises OtherModel if that is not what gave the answers that the run has, EndpointError."""
    for name, kind in endpoints.kind(about.endpoint).items():
        if about.versions.get(name, kind) != kind:
            raise OtherModel(
                f"The run was planned for {about.versions[name]}, and the settings have {about.endpoint!r} as {kind} "
                "now: begin it anew."
            )
    begun = about.status == "running" and about.progress.done > 0
    found = await _said(about, suite, endpoint, tries=_TRIES if begun else 1)
    beside = endpoints.named_in(about.versions)
    now = {**found, **endpoints.beside(beside)}
    # the settings may be others than when it was planned
    sent = endpoints.sent_to(about.endpoint, beside)
    if not begun:
        return Served(now, sent)
    # what either did not say is no difference that is known
    changed = {name: value for name, value in now.items() if about.versions.get(name, value) != value}
    moved = changed.pop(_PLACE, None)
    if changed:
        name, value = next(iter(changed.items()))
        raise OtherModel(
            f"Stopped: the service was started again, and where {name} was {about.versions[name]!r} it is {value!r} "
            f"now. Scores of the two are not mixed: the {about.progress.done} items that are done are of the first."
        )
    if moved is None:
        return Served(found, sent)
    where = f"The endpoint was at {about.versions[_PLACE]}, and after {about.progress.done} items at {moved}."
    return Served({**found, _PLACE: about.versions[_PLACE]}, [where, *sent])


async def check_still(about: Run, endpoint: Endpoint) -> None:
    """Look once more when all is asked: a model can be replaced while its endpoint is waited for. Raises OtherModel."""
    if _WEIGHTS not in about.versions:
        return
    with suppress(EndpointError):
        # one that is gone by now is no other model
        now = (await served(endpoint, None)).get(_WEIGHTS, about.versions[_WEIGHTS])
        if now != about.versions[_WEIGHTS]:
            raise OtherModel(
                f"Stopped: {_WEIGHTS} were {about.versions[_WEIGHTS]!r} when the run began and are {now!r} at its end: "
                "the answers are of both."
            )


async def _said(about: Run, suite: Suite, endpoint: Endpoint, *, tries: int) -> dict[str, str]:
    async def said() -> dict[str, str]:
        return sound.checked(dict[str, str], await suite.describe(endpoint, about.versions))

    while True:
        tries -= 1
        try:
            return await awaited(suite.id, "describe", said)
        except EndpointError:
            if not tries:
                raise
            await asyncio.sleep(1)
