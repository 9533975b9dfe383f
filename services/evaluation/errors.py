"""What a client of the evaluation service can do wrong, each with what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from shared.http.errors import CandorError, InvalidRequest, NotFound

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


class UnknownSuite(NotFound):
    """The request names a suite that is not installed."""

    code = "unknown_suite"

    def __init__(self, suite: str, known: Iterable[str]) -> None:
        super().__init__(f"There is no suite {suite!r}. Known: {', '.join(known)}.", field="suite")


class UnknownEndpoint(NotFound):
    """The request names an endpoint that the operator has not."""

    code = "unknown_endpoint"

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(
            f"There is no endpoint {name!r}. Known: {', '.join(known)}. The setting CANDOR_EVALUATION_ENDPOINTS of the "
            "evaluation service names others.",
            field="endpoint",
        )


class OnlyOfAStack(InvalidRequest):
    """The suite asks what no other server than a Candor stack has."""

    code = "only_of_a_stack"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, field="endpoint")


class UnknownRun(NotFound):
    """There is no run of this id."""

    code = "unknown_run"

    def __init__(self, run: str) -> None:
        super().__init__(
            f"There is no evaluation {run!r}. `candor eval list` and GET /v1/evaluations have those there are."
        )


class UnknownItem(NotFound):
    """A page is asked for after an item that the run does not have."""

    code = "unknown_item"

    def __init__(self, item: str) -> None:
        super().__init__(f"This evaluation has no item {item!r}.", field="after")


class BadOption(InvalidRequest):
    """The suite has no such option, or not this value of it."""

    code = "bad_option"

    def __init__(self, option: str, detail: str) -> None:
        super().__init__(detail, field=f"options.{option}" if option else "options")


class BadPlan(InvalidRequest):
    """The suite plans what cannot be kept or compared: a fault of a plug-in, or of the set that it was given."""

    code = "bad_plan"

    def __init__(self, suite: str, what: str) -> None:
        super().__init__(f"The plan of the suite {suite!r} cannot be run: {what}", field="suite")


class SuiteFailed(CandorError):
    """A suite raised what it is not to raise, or gave what nothing can be made of: a fault of its code."""

    code = "suite_failed"

    def __init__(self, suite: str, part: str, what: str) -> None:
        super().__init__(f"The suite {suite!r} failed in {part}: {what}")


class MissingData(CandorError):
    """The suite's data is not on this machine."""

    status, code = 409, "missing_data"

    def __init__(self, what: str, do: str = "Run `candor data pull` on the machine of the evaluation service.") -> None:
        super().__init__(f"{what} {do}")


class AlreadyFinished(CandorError):
    """A run that has ended cannot be cancelled."""

    status, code = 409, "already_finished"

    def __init__(self, run: str, status: str) -> None:
        super().__init__(f"The evaluation {run!r} has {status} already.")


class NotFinished(CandorError):
    """A run that still asks cannot be scored again."""

    status, code = 409, "not_finished"

    def __init__(self, run: str, status: str) -> None:
        super().__init__(f"The evaluation {run!r} is {status}: wait for its end, or cancel it, to score it again.")


class BadMetric(InvalidRequest):
    """There is no such metric to add to a suite's own."""

    code = "bad_metric"

    def __init__(self, metric: str, known: Iterable[str]) -> None:
        super().__init__(f"There is no metric {metric!r} to add. Known: {', '.join(known)}.", field="metrics")


class NotComparable(InvalidRequest):
    """These runs have no question in common, or are not at least two."""

    code = "not_comparable"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, field="runs")


class KeyReused(CandorError):
    """An Idempotency-Key came with another request before."""

    status, code = 422, "idempotency_key_reused"

    def __init__(self, key: str) -> None:
        super().__init__(f"The Idempotency-Key {key!r} was used for another request.", field="Idempotency-Key")


def fault_in(place: str, fault: ErrorDetails) -> str:
    """What pydantic found wrong at `place`, in a sentence; a rule of our own says it in its own words."""
    if fault["type"] == "extra_forbidden":
        return f"There is no field {place!r} here."
    return f"{place}: {fault['msg'].removeprefix('Value error, ').removesuffix('.')}."
