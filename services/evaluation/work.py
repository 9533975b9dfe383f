"""What the workflow of a run does: the items that the store has not are asked, scored and kept.

Which items are done is in the store alone. So a killed process asks again only the items that were under way, and a
run is carried on by code of another version as by its own.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, ParamSpec, TypeVar

import structlog
from sqlalchemy.exc import SQLAlchemyError

from services.evaluation import sound
from services.evaluation.calling import awaited, words
from services.evaluation.endpoint import Endpoint, EndpointError
from services.evaluation.endpoints import Endpoints
from services.evaluation.report import build_report
from services.evaluation.rescoring import scored
from services.evaluation.serving import OtherModel, check_still, describe
from services.evaluation.settings import EvaluationSettings
from services.evaluation.store.patience import patiently
from services.evaluation.store.reading import UNFINISHED, Rescored
from services.evaluation.store.runs import Outcome, Store
from services.evaluation.suites.base import Answer, BadAnswer, Suite
from services.evaluation.suites.registry import SUITES
from shared.contracts.evaluation import Run
from shared.http.errors import CandorError

P = ParamSpec("P")
T = TypeVar("T")

_PAGE = 100
"""Answers scored again at a time."""

_LOOK_SECONDS = 0.5
"""Between two looks at whether a run was cancelled."""

_log = structlog.get_logger()


class Stopped(Exception):
    """The run cannot go on; the message is its error."""


@dataclass
class Tally:
    """How many items are done, those of earlier lives of the service included, and when to stop."""

    rate: float
    after: int
    done: int = 0
    failed: int = 0
    broken: bool = False
    """A worker has ended with an exception: the others take no further item."""

    def count(self, scored: bool) -> None:
        """One item more."""
        self.done, self.failed = self.done + 1, self.failed + (not scored)

    def too_many_failed(self, *, after: int | None = None) -> bool:
        """Whether the share of failed items is above the rate, once so many are done as it takes to say so."""
        return self.done >= (self.after if after is None else after) and self.failed > self.rate * self.done


@dataclass(frozen=True)
class Work:
    """Carries out runs, in the event loop of DBOS; whatever blocks goes to threads."""

    settings: EvaluationSettings
    store: Store

    async def carry_out(self, run: str) -> None:
        """From queued to a final status. Whatever goes wrong but a kill or a cancel becomes the run's error."""
        error = None
        try:
            await self._unless_ended(run, self._carried(run))
        except (Stopped, OtherModel, EndpointError, CandorError) as stopped:
            error = str(stopped)
        except Exception as fault:
            _log.exception("an evaluation failed unexpectedly", run=run)
            error = words(fault)
        # however long the database is away: all that the run has done would else be left without an end
        await patiently(math.inf, self._end, run, error)

    async def _unless_ended(self, run: str, work: Coroutine[Any, Any, None]) -> None:
        """The work, dropped with its requests under way once the run has been ended from outside."""
        working, watching = asyncio.create_task(work), asyncio.create_task(self._ended(run))
        try:
            await asyncio.wait((working, watching), return_when=asyncio.FIRST_COMPLETED)
        finally:
            working.cancel()
            watching.cancel()
            await asyncio.gather(working, watching, return_exceptions=True)
        if not working.cancelled():
            working.result()

    async def _ended(self, run: str) -> None:
        while True:
            if (await patiently(math.inf, self.store.run, run)).status not in UNFINISHED:
                return
            await asyncio.sleep(_LOOK_SECONDS)

    async def _carried(self, run: str) -> None:
        about = await self._kept(self.store.run, run)
        if about.suite not in SUITES:
            # a plug-in that was taken away between two lives of the service
            raise Stopped(f"The suite {about.suite!r} is not installed any more.")
        if about.rescored_from is not None:
            await self._score_again(about, SUITES[about.suite])
        else:
            await self._ask(about, SUITES[about.suite])

    async def _ask(self, about: Run, suite: Suite) -> None:
        settings, endpoints = self.settings, Endpoints(self.settings)
        async with endpoints.open(about.endpoint, about.id) as endpoint:
            served = await describe(about, suite, endpoint, endpoints)
            if not await self._kept(self.store.begin, about.id, served.versions, served.warnings):
                return
            tally = Tally(settings.failure_rate, settings.failures_after, about.progress.done, about.progress.failed)
            positions = iter(await self._kept(self.store.to_ask, about.id))
            workers = [self._worker(about.id, positions, suite, endpoint, tally) for _ in range(settings.concurrency)]
            # not a TaskGroup: it would wrap what a worker raises
            ended = await asyncio.gather(*workers, return_exceptions=True)
            for error in ended:
                if isinstance(error, BaseException):
                    raise error
            await check_still(await self._kept(self.store.run, about.id), endpoint)
        # of a run that is through all items count, however few they are
        if tally.too_many_failed(after=1):
            await self._stop(about.id, f"{tally.failed} of {tally.done} items failed")

    async def _worker(self, run: str, positions: Iterator[int], suite: Suite, endpoint: Endpoint, tally: Tally) -> None:
        """Take the next item until there is none; all workers share one iterator."""
        try:
            for position in positions:
                if tally.too_many_failed() or tally.broken:
                    return
                tally.count(await self._item(run, position, suite, endpoint))
        except BaseException:
            tally.broken = True
            raise

    async def _item(self, run: str, position: int, suite: Suite, endpoint: Endpoint) -> bool:
        """Ask, score and keep one item; whether it could be scored."""
        planned = await self._kept(self.store.planned, run, position)
        if planned is None:
            # kept meanwhile by another process of the service
            return await self._kept(self.store.was_scored, run, position)
        answer, scores, error = None, dict[str, float](), None

        async def ask() -> Answer:
            return sound.answer(await suite.answer(planned, endpoint))

        try:
            answer = await awaited(suite.id, "answer", ask)
            # in a thread: one that takes long, or for ever, stops no other run
            scores = await asyncio.to_thread(scored, suite, [], planned, answer)
        except (EndpointError, BadAnswer, CandorError) as refused:
            error = str(refused)
        await self._kept(self.store.record, run, position, answer, scores, error)
        return error is None

    async def _score_again(self, about: Run, suite: Suite) -> None:
        """Score the answers that the run was made with."""
        if not await self._kept(self.store.begin, about.id, {}):
            return
        after = -1
        while page := await self._kept(self.store.to_rescore, about.id, after, _PAGE):
            outcomes = await asyncio.to_thread(_scored_again, page, suite, about)
            if not await self._kept(self.store.record_all, about.id, outcomes):
                # cancelled, or kept already by a call whose answer the database lost
                if about.id not in await self._kept(self.store.unfinished):
                    return
                continue
            after = page[-1].position
        answers, unscored = await self._kept(self.store.answered, about.id)
        if unscored > self.settings.failure_rate * answers:
            await self._stop(about.id, f"{unscored} of {answers} answers could not be scored by {suite.id}")

    async def _stop(self, run: str, what: str) -> NoReturn:
        last = await self._kept(self.store.last_error, run)
        raise Stopped(f"Stopped: {what}, more than {self.settings.failure_rate:.0%}. The last error: {last}")

    def _end(self, run: str, error: str | None) -> None:
        about = self.store.run(run)
        if about.status not in UNFINISHED:
            return
        if error is None and about.progress.done < about.progress.total:
            error = f"Of {about.progress.total} items {about.progress.done} are done: the others were dropped."
        suite = SUITES.get(about.suite)
        report = None
        try:
            report = build_report(about, self.store.all_items(run), suite) if suite is not None else None
        except SQLAlchemyError:
            raise
        except Exception as fault:
            _log.exception("a report could not be made", run=run)
            error = error or f"The report could not be made: {type(fault).__name__}: {fault}"
        self.store.end(run, "failed" if error else "succeeded", error=error, report=report)

    async def _kept(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """A call of the store, patient with its database as with the endpoint."""
        return await patiently(self.settings.patience, call, *args, **kwargs)


def _scored_again(items: Sequence[Rescored], suite: Suite, about: Run) -> list[Outcome]:
    return [_outcome(item, suite, about) for item in items]


def _outcome(item: Rescored, suite: Suite, about: Run) -> Outcome:
    """The scores of an answer given before, or what kept it from being scored."""
    scores: dict[str, float] = {}
    error = None
    if item.answer is None:
        error = item.error or "there is no answer to score"
    else:
        try:
            scores = scored(suite, about.metrics, item.planned, item.answer)
        except (EndpointError, BadAnswer, CandorError) as refused:
            error = str(refused)
    return Outcome(item.position, item.answer, scores, error)
