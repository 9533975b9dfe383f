"""One request's progress: the time of each stage, and the stages that failed without losing the answer."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from gateway.ledger.store import Unwritable
from gateway.pipeline.faults import RETRY_SECONDS, StageFailed, refusal
from shared.clients.base import ServiceError
from shared.contracts.candor import FailedStage, Stage, Timings
from shared.http.errors import Overloaded

Result = TypeVar("Result")

SERVICES_STAGES: tuple[Stage, ...] = ("retrieve", "generate", "verify", "trace")
"""The stages that wait for a service, or a verifier; the rest is the gateway's own overhead."""


class Run:
    """Wraps the stages from outside. `strict`: a failed stage fails the request."""

    def __init__(self, *, strict: bool, warnings: list[str]) -> None:
        self.failed: list[FailedStage] = []
        self.warnings = warnings
        self._strict = strict
        self._began = time.perf_counter()
        self._spent: dict[Stage, float] = {}

    @contextmanager
    def timed(self, stage: Stage) -> Iterator[None]:
        """Add the time of the block to the stage."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._spent[stage] = self._spent.get(stage, 0.0) + 1000 * (time.perf_counter() - began)

    @contextmanager
    def needed(self, stage: Stage) -> Iterator[None]:
        """A stage without which there is no answer. Raises StageFailed, Overloaded, or the service's own refusal."""
        with self.timed(stage):
            try:
                yield
            except ServiceError as error:
                if error.status == 429:
                    raise Overloaded(error.detail, retry_after=RETRY_SECONDS) from error
                raise refusal(stage, error) or StageFailed(stage, str(error)) from error

    async def optional(self, stage: Stage, work: Awaitable[Result], otherwise: Result) -> Result:
        """A stage whose failure is reported and its part empty. Raises what is the request's own fault, consent
        that was not applied, and StageFailed when the request is strict."""
        with self.timed(stage):
            try:
                return await work
            except (ServiceError, Unwritable) as error:
                if isinstance(error, ServiceError) and (fault := refusal(stage, error)) is not None:
                    raise fault from error
                self.missing(stage, str(error))
                return otherwise

    def missing(self, stage: Stage, error: str) -> None:
        """Report a stage whose part the answer lacks. Raises StageFailed when the request is strict."""
        if self._strict:
            raise StageFailed(stage, error)
        self.failed.append(FailedStage(stage=stage, error=error))

    def add(self, spent: Mapping[Stage, float]) -> None:
        """Add times, in milliseconds, that a service says it took for a stage."""
        for stage, milliseconds in spent.items():
            self._spent[stage] = self._spent.get(stage, 0.0) + milliseconds

    def timings(self) -> Timings:
        """The times so far, in milliseconds."""
        total = 1000 * (time.perf_counter() - self._began)
        services = sum(self._spent.get(stage, 0.0) for stage in SERVICES_STAGES)
        spent = {stage: round(milliseconds, 3) for stage, milliseconds in self._spent.items()}
        return Timings(**spent, overhead=round(max(0.0, total - services), 3), total=round(total, 3))
