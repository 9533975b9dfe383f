"""The durable part: a run is a DBOS workflow and each of its items a step of it.

A killed process goes on where it stopped. DBOS keeps which steps are done; the store keeps what they gave, and
refuses to ask an item again that it has, for the moment between the two. Only the items under way at the kill are
asked twice.

Imports DBOS, which is slow to import: the app does so once its port is bound.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import structlog
from dbos import DBOS, DBOSConfig, SetWorkflowID

from services.evaluation.endpoint import Endpoint, EndpointError
from services.evaluation.report import build_report
from services.evaluation.settings import EvaluationSettings
from services.evaluation.store.runs import Store
from services.evaluation.suites.base import BadAnswer, Suite
from services.evaluation.suites.registry import SUITES

_QUEUE = "evaluation-runs"
_WORKFLOW_VERSION = "evaluation-1"
"""DBOS recovers only workflows of its own version: raise it when the order of steps in `_Work.carry_out` changes."""

_log = structlog.get_logger()


class Stopped(Exception):
    """The run cannot go on; the message is its error."""


class Jobs:
    """Starts, carries on and cancels runs. One in a process, since DBOS is. Every call blocks."""

    def __init__(self, settings: EvaluationSettings, store: Store) -> None:
        self._settings, self._store = settings, store

    def start(self) -> None:
        """Launch DBOS and carry on whatever a process before this one left unfinished."""
        _Work.current = _Work(self._settings, self._store)
        config = DBOSConfig(
            name="candor-evaluation",
            system_database_url=self._settings.jobs_database().render_as_string(hide_password=False),
            application_version=_WORKFLOW_VERSION,
            log_level="ERROR",
        )
        DBOS(config=config)
        DBOS.launch()
        DBOS.register_queue(
            _QUEUE, worker_concurrency=self._settings.runs, polling_interval_sec=0.2, on_conflict="always_update"
        )
        for run in self._store.unfinished():
            # killed between storing the run and queueing it; queueing what DBOS has already changes nothing
            self.queue(run)

    def queue(self, run: str) -> None:
        """Queue a stored run; once, however often it is called."""
        with SetWorkflowID(run):
            DBOS.enqueue_workflow(_QUEUE, evaluate, run)

    def cancel(self, run: str) -> None:
        """Stop a run: no further items, and the requests under way are dropped."""
        DBOS.cancel_workflow(run)

    def stop(self) -> None:
        """Let go of the runs under way; the next start carries them on."""
        DBOS.destroy()


@DBOS.workflow(name="evaluate")
async def evaluate(run: str) -> None:
    """The workflow: DBOS knows it by its name and calls it with what is in its database."""
    await _Work.current.carry_out(run)


@dataclass(frozen=True)
class _Work:
    """One workflow's work. DBOS calls workflows by name, so the process's `current` one is found by it too."""

    settings: EvaluationSettings
    store: Store

    current: ClassVar[_Work]

    async def carry_out(self, run: str) -> None:
        """From queued to a final status. Whatever goes wrong but a kill or a cancel becomes the run's error."""
        try:
            await self._items(run)
        except (Stopped, EndpointError) as error:
            await asyncio.to_thread(self._end, run, str(error))
        except Exception as error:
            _log.exception("an evaluation failed unexpectedly", run=run)
            await asyncio.to_thread(self._end, run, f"{type(error).__name__}: {error}")
        else:
            await asyncio.to_thread(self._end, run, None)

    async def _items(self, run: str) -> None:
        about = await asyncio.to_thread(self.store.run, run)
        suite, settings = SUITES[about.suite], self.settings
        async with Endpoint(
            settings.gateway_url,
            run=run,
            api_key=settings.api_key,
            timeout=settings.request_timeout,
            patience=settings.patience,
        ) as endpoint:
            versions = await DBOS.run_step_async({"name": "begin"}, _describe, endpoint, about.versions.get("model"))
            if not await asyncio.to_thread(self.store.begin, run, versions):
                return
            tally = _Tally(settings.failure_rate, settings.failures_after)
            positions = iter(range(about.progress.total))
            workers = [self._worker(run, positions, suite, endpoint, tally) for _ in range(settings.concurrency)]
            ended = await asyncio.gather(*workers, return_exceptions=True)
        for error in ended:
            if isinstance(error, BaseException):
                raise error
        if tally.too_many():
            last = await asyncio.to_thread(self.store.last_error, run)
            raise Stopped(
                f"Stopped: {tally.failed} of {tally.done} items failed, more than {settings.failure_rate:.0%}. "
                f"The last error: {last}"
            )

    async def _worker(
        self, run: str, positions: Iterator[int], suite: Suite, endpoint: Endpoint, tally: _Tally
    ) -> None:
        """Take the next item until there is none.

        All workers share one iterator and one event loop, and `run_step_async` draws its step's number before it
        first waits: item n is step n + 1 in every life of the workflow, whichever worker takes it.
        """
        for position in positions:
            if tally.too_many():
                return
            scored = await DBOS.run_step_async(
                {"name": "item", "preemptible": True}, self._item, run, position, suite, endpoint
            )
            tally.count(scored)

    async def _item(self, run: str, position: int, suite: Suite, endpoint: Endpoint) -> bool:
        """Ask, score and keep one item; whether it could be scored."""
        planned = await asyncio.to_thread(self.store.planned, run, position)
        if planned is None:
            # kept, and killed before DBOS noted the step: the outcome is in the store
            return await asyncio.to_thread(self.store.was_scored, run, position)
        answer, scores, error = None, {}, None
        try:
            answer = await suite.answer(planned, endpoint)
            scores = suite.score(planned, answer)
        except (EndpointError, BadAnswer) as refused:
            error = str(refused)
        except Exception as fault:
            _log.exception("a suite failed on an item", run=run, item=planned.id)
            error = f"{type(fault).__name__}: {fault}"
        await asyncio.to_thread(self.store.record, run, position, answer, scores, error)
        return error is None

    def _end(self, run: str, error: str | None) -> None:
        about = self.store.run(run)
        report = build_report(about, self.store.items(run), SUITES[about.suite])
        self.store.end(run, "failed" if error else "succeeded", error=error, report=report)


@dataclass
class _Tally:
    """How many items this life of the workflow saw done, those of earlier lives included."""

    rate: float
    after: int
    done: int = 0
    failed: int = 0

    def count(self, scored: bool) -> None:
        """One item more."""
        self.done, self.failed = self.done + 1, self.failed + (not scored)

    def too_many(self) -> bool:
        """Whether the run should stop."""
        return self.done >= self.after and self.failed > self.rate * self.done


async def _describe(endpoint: Endpoint, model: str | None) -> dict[str, str]:
    """Versions of what answers. Raises EndpointError if nothing does, Stopped if it does not serve the model."""
    served = (await endpoint.get("/v1/models")).body.get("data") or []
    names = [str(one.get("id")) for one in served if isinstance(one, dict)]
    if model is not None and names and model not in names:
        raise Stopped(f"{endpoint.url} does not serve {model!r}. Served: {', '.join(names)}.")
    versions = {"endpoint": endpoint.url}
    try:
        experts = (await endpoint.get("/v1/experts")).body
    except EndpointError:
        # not a Candor stack: it has no experts
        return versions
    return {**versions, "weights": f"{experts.get('model')}/{experts.get('architecture')}"}
