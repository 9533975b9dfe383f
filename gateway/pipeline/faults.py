"""What a service's failure means for the client who asked the gateway."""

from __future__ import annotations

from shared.clients.base import ServiceError
from shared.contracts.base import Strict
from shared.contracts.candor import RetrievalOptions, Stage, TraceOptions
from shared.http.errors import CandorError, Overloaded

RETRY_SECONDS = 2

_OPTIONS: dict[Stage, tuple[str, type[Strict]]] = {
    "retrieve": ("candor.retrieval", RetrievalOptions),
    "trace": ("candor.trace", TraceOptions),
}
"""Where a chat request has what a stage's service is asked for; what the model is asked for stands at the top."""


class StageFailed(CandorError):
    """A stage failed, and the request cannot be answered, or was not to be, without it."""

    status, code = 503, "stage_failed"

    def __init__(self, stage: str, error: str) -> None:
        super().__init__(f"The stage {stage!r} failed: {error}.", retry_after=RETRY_SECONDS)


class ServiceUnavailable(CandorError):
    """A service that a resource belongs to does not answer, or failed."""

    status, code = 503, "service_unavailable"

    def __init__(self, error: ServiceError) -> None:
        super().__init__(f"The {error.service} service failed: {error.detail}.", retry_after=RETRY_SECONDS)


class Refused(CandorError):
    """A service refused the request as invalid; its words, status and code are passed on."""

    status, code = 400, "invalid_request"

    def __init__(self, error: ServiceError, field: str | None) -> None:
        super().__init__(error.detail, field=field)
        self.status, self.code = error.status or self.status, error.code or self.code


def refusal(stage: Stage, error: ServiceError) -> CandorError | None:
    """The client's own fault, in the service's words: the service names a field that the client wrote.

    None when the service is at fault, or the gateway, which asked for what the client did not.
    """
    field = _clients_field(stage, error.field)
    if error.status not in (400, 404, 413, 422) or field is None:
        return None
    fault = Refused(error, field)
    # on OpenAI's paths any invalid input is a 400; what a field names and does not exist stays a 404
    fault.status = 404 if error.status == 404 else 400
    return fault


def unavailable(error: ServiceError) -> CandorError:
    """The fault of a resource that is one service's: its refusal as it is, or 503 when it does not answer."""
    if error.status == 429:
        return Overloaded(error.detail, retry_after=RETRY_SECONDS)
    if error.status is not None and error.status < 500:
        return Refused(error, error.field)
    return ServiceUnavailable(error)


def _clients_field(stage: Stage, field: str | None) -> str | None:
    if stage in _OPTIONS:
        place, options = _OPTIONS[stage]
        return f"{place}.{field}" if field in options.model_fields else None
    # the name of the served model and the mask of experts are the gateway's own words
    return None if field is None or field == "model" or field.startswith("candor") else field
