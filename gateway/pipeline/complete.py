"""Text completions: the model alone, with the experts of the effective owners."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from gateway.ledger.store import Unwritable
from gateway.pipeline.account import account
from gateway.pipeline.options import require_model
from gateway.pipeline.sample import Draft, Samples, check_mask
from gateway.policy import Consent
from gateway.services import Services
from shared.clients.base import ServiceError
from shared.contracts.candor import CompletionAnswer, CompletionReport, CompletionRequest, OwnerChoice
from shared.contracts.gateway import LedgerRecord
from shared.contracts.model import (
    AppliedMask,
    ExpertMask,
    ModelCompletionChoice,
    ModelCompletionRequest,
    SampleDetail,
)
from shared.contracts.openai import CompletionChoice
from shared.http.errors import InvalidRequest
from shared.http.request_id import request_id


@dataclass(frozen=True)
class Asked:
    """A completion that is allowed: its consent, and the request to the model service."""

    id: str
    model: str
    consent: Consent
    request: ModelCompletionRequest
    warnings: list[str]


async def allow(body: CompletionRequest, services: Services) -> Asked:
    """Apply the policy. Raises UnknownModel, UnknownOwner, AlwaysOn, InvalidRequest, ServiceError."""
    require_model(body.model)
    consent = services.policy.effective(body.candor.owners)
    _check_avoided(body.candor.memfree, consent, services)
    served = await services.served.now()
    known = {name for name in body.model_fields_set if name in CompletionRequest.model_fields} - {"candor", "model"}
    request = ModelCompletionRequest(
        model=served.name,
        candor=ExpertMask(experts=served.allowed(consent), memfree=body.candor.memfree),
        **{name: getattr(body, name) for name in known},
    )
    warnings = [f"The field {name!r} is not supported and was ignored." for name in body.unknown()]
    return Asked("cmpl-" + secrets.token_hex(12), body.model, consent, request, warnings)


def _check_avoided(owners: Sequence[str], consent: Consent, services: Services) -> None:
    """What a model avoids tells what is in a text: its owner has to be permitted, and to take part in the request.

    Raises UnknownOwner, InvalidRequest.
    """
    services.policy.effective(OwnerChoice(include=[*owners]), include="candor.memfree")
    for owner in owners:
        if owner not in consent.effective:
            raise InvalidRequest(
                f"{owner!r} does not take part in this request, and its texts would still decide what is said. "
                "Name it in candor.owners.include too, or not in candor.memfree.",
                field="candor.memfree",
            )


async def complete(asked: Asked, services: Services) -> CompletionAnswer:
    """The completions and whose experts computed them. Raises ServiceError, ConsentNotApplied."""
    answer = await services.model.complete(asked.request)
    report = await _report(asked, answer.candor, answer.choices, services)
    body = answer.model_dump(exclude={"choices", "candor"}) | {
        "id": asked.id,
        "model": asked.model,
        "warnings": [*asked.warnings, *answer.warnings],
    }
    return CompletionAnswer(**body, choices=_plain(answer.choices), candor=report)


async def stream(asked: Asked, services: Services) -> AsyncGenerator[CompletionAnswer]:
    """The chunks as they come; the last one has the report."""
    ended: list[ModelCompletionChoice] = []
    held: CompletionAnswer | None = None
    applied: AppliedMask | None = None
    async with services.model.stream_complete(asked.request) as chunks:
        async for chunk in chunks:
            # each says its mask, so that text computed under another one is never passed on
            check_mask(asked.consent, asked.request.candor.experts, chunk.candor)
            applied = chunk.candor
            ended += [choice for choice in chunk.choices if choice.candor is not None]
            if held is not None:
                yield held
            held = CompletionAnswer(
                id=asked.id,
                created=chunk.created,
                model=asked.model,
                usage=chunk.usage,
                choices=_plain(chunk.choices),
            )
    if held is None or applied is None:
        raise ServiceError("model", "the stream ended before it began")
    report = await _report(asked, applied, ended, services)
    yield held.model_copy(update={"candor": report, "warnings": asked.warnings})


async def _report(
    asked: Asked, applied: AppliedMask, choices: Sequence[ModelCompletionChoice], services: Services
) -> CompletionReport:
    details = [choice.candor for choice in choices if choice.candor is not None]
    check_mask(asked.consent, asked.request.candor.experts, applied, details)
    samples = Samples(tuple(_draft(detail) for detail in details), 0)
    owners = asked.consent.applied()
    entries = account(asked.consent, asked.request.candor.experts, [], samples, [])
    record = LedgerRecord(
        id=asked.id,
        request_id=request_id(),
        created=int(time.time()),
        model=asked.model,
        owners=owners,
        entries=entries,
    )
    try:
        await services.ledger.record(record)
    except Unwritable as error:
        asked.warnings.append(f"Not recorded: {error}.")
    return CompletionReport(id=asked.id, owners=owners, ledger=entries)


def _draft(detail: SampleDetail) -> Draft:
    return Draft.of("", "stop", detail, None)


def _plain(choices: Sequence[ModelCompletionChoice]) -> list[CompletionChoice]:
    """As OpenAI has them: what the model service says of each sample is summed up in the report."""
    return [CompletionChoice.model_validate(choice.model_dump(exclude={"candor"})) for choice in choices]
