"""What the workflow of a run does: each item is a durable step.

DBOS keeps which steps are done; the store keeps what they gave, and refuses to ask an item again that it has, for
the moment between the two. So a killed process asks again only the items that were under way.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn, ParamSpec, TypeVar

import structlog
from dbos import DBOS
from sqlalchemy.exc import SQLAlchemyError

from services.evaluation.endpoint import Endpoint, EndpointError
from services.evaluation.endpoints import Endpoints
from services.evaluation.errors import UnknownEndpoint
from services.evaluation.report import build_report
from services.evaluation.rescoring import score_again
from services.evaluation.settings import EvaluationSettings
from services.evaluation.store.patience import patiently
from services.evaluation.store.reading import Rescored
from services.evaluation.store.runs import Outcome, Store
from services.evaluation.suites.base import Answer, BadAnswer, Suite
from services.evaluation.suites.registry import SUITES
from shared.contracts.evaluation import Run

P = ParamSpec("P")
T = TypeVar("T")

_PAGE = 100
"""Answers scored again at a time."""

_log = structlog.get_logger()


class Stopped(Exception):
    """The run cannot go on; the message is its error."""


@dataclass
class Tally:
    """How many items this life of the workflow has seen done, those of earlier lives included, and when to stop."""

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
        try:
            await self._items(run)
        except (Stopped, EndpointError, UnknownEndpoint) as error:
            await self._kept(self._end, run, str(error))
        except Exception as error:
            _log.exception("an evaluation failed unexpectedly", run=run)
            await self._kept(self._end, run, f"{type(error).__name__}: {error}")
        else:
            await self._kept(self._end, run, None)

    async def _items(self, run: str) -> None:
        about = await self._kept(self.store.run, run)
        if about.suite not in SUITES:
            # a plug-in that was taken away between two lives of the service
            raise Stopped(f"The suite {about.suite!r} is not installed any more.")
        suite, settings = SUITES[about.suite], self.settings
        if about.rescored_from is not None:
            await self._score_again(about, suite)
            return
        async with Endpoints(settings).open(about.endpoint, run) as endpoint:
            versions = await DBOS.run_step_async({"name": "begin"}, suite.describe, endpoint, about.versions)
            if not await self._kept(self.store.begin, run, versions):
                return
            tally = Tally(settings.failure_rate, settings.failures_after)
            positions = iter(range(about.progress.total))
            workers = [self._worker(run, positions, suite, endpoint, tally) for _ in range(settings.concurrency)]
            # not a TaskGroup: it would wrap the exception with which DBOS cancels, and DBOS would not know it again
            ended = await asyncio.gather(*workers, return_exceptions=True)
        for error in ended:
            if isinstance(error, BaseException):
                raise error
        # of a run that is through all items count, however few they are
        if tally.too_many_failed(after=1):
            await self._stop(run, f"{tally.failed} of {tally.done} items failed")

    async def _worker(self, run: str, positions: Iterator[int], suite: Suite, endpoint: Endpoint, tally: Tally) -> None:
        """Take the next item until there is none.

        All workers share one iterator and one event loop, and `run_step_async` draws its step's number before it
        first waits: item n has the same number in every life of the workflow, whichever worker takes it.
        """
        try:
            for position in positions:
                if tally.too_many_failed() or tally.broken:
                    return
                scored = await DBOS.run_step_async(
                    {"name": "item", "preemptible": True}, self._item, run, position, suite, endpoint
                )
                tally.count(scored)
        except BaseException:
            tally.broken = True
            raise

    async def _item(self, run: str, position: int, suite: Suite, endpoint: Endpoint) -> bool:
        """Ask, score and keep one item; whether it could be scored."""
        planned = await self._kept(self.store.planned, run, position)
        if planned is None:
            # kept, and killed before DBOS noted the step: the outcome is in the store
            return await self._kept(self.store.was_scored, run, position)
        answer, scores, error = None, {}, None
        try:
            answer = _sound(await suite.answer(planned, endpoint))
            scores = _finite(suite.score(planned, answer))
        except (EndpointError, BadAnswer) as refused:
            error = str(refused)
        except Exception as fault:
            _log.exception("a suite failed on an item", run=run, item=planned.id)
            error = f"{type(fault).__name__}: {fault}"
        await self._kept(self.store.record, run, position, answer, scores, error)
        return error is None

    async def _score_again(self, about: Run, suite: Suite) -> None:
        """Score the answers that the run was made with. No steps: what is scored already is in the store."""
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


def _sound(answer: Answer) -> Answer:
    """The answer, if its numbers are numbers: what the endpoint says of its tokens is not checked before."""
    if answer.tokens is not None and (not isinstance(answer.tokens, int) or not 0 <= answer.tokens < 2**31):
        raise BadAnswer(f"the answer says that it has {str(answer.tokens)[:80]!r} tokens")
    try:
        json.dumps(answer.details)
    except (TypeError, ValueError, RecursionError) as error:
        raise BadAnswer(f"the suite's details of the answer are no JSON ({error})") from error
    return answer


def _finite(scores: Mapping[str, float]) -> dict[str, float]:
    """The scores, if each is a number that a mean can be made of."""
    for name, value in scores.items():
        if not math.isfinite(value):
            raise BadAnswer(f"its {name} is {value}")
    return dict(scores)


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
            scores = _finite(score_again(suite, about.metrics, item.planned, item.answer))
        except BadAnswer as refused:
            error = str(refused)
        except Exception as fault:
            _log.exception("a suite failed on an answer of before", run=about.id, item=item.planned.id)
            error = f"{type(fault).__name__}: {fault}"
    return Outcome(item.position, item.answer, scores, error)
