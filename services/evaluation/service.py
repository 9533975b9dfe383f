"""What the routes call: create runs, look at them, follow them, cancel them."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ValidationError

from services.evaluation.errors import BadOption, UnknownSuite
from services.evaluation.report import build_report
from services.evaluation.store.reading import UNFINISHED
from services.evaluation.store.runs import Store
from services.evaluation.suites.base import Suite
from services.evaluation.versions import code_version
from shared.contracts.evaluation import ItemList, ItemPage, Report, Run, RunList, RunRequest
from shared.contracts.evaluation import Suite as SuiteView
from shared.http.sse import event

if TYPE_CHECKING:
    from services.evaluation.jobs import Jobs

_POLL_SECONDS = 0.25


class Evaluations:
    """The service. Its own work is short; what blocks runs in threads."""

    def __init__(self, store: Store, jobs: Jobs, suites: Mapping[str, Suite], home: Path) -> None:
        self._store, self._jobs, self._suites, self._home = store, jobs, suites, home

    def close(self) -> None:
        """Let go of the runs under way, to be carried on by the next process, and of the database."""
        self._jobs.stop()
        self._store.close()

    def suites(self) -> list[SuiteView]:
        """What can be run, with the JSON schema of its options."""
        return [_view(suite) for suite in self._suites.values()]

    async def create(self, request: RunRequest, key: str | None) -> Run:
        """Plan a run, store it and queue it. Raises UnknownSuite, BadOption, MissingData, KeyReused."""
        return await asyncio.to_thread(self._create, request, key)

    async def run(self, run: str) -> Run:
        """A run. Raises UnknownRun."""
        return await asyncio.to_thread(self._store.run, run)

    async def runs(self, *, after: str | None, limit: int) -> RunList:
        """A page of runs, newest first."""
        found = await asyncio.to_thread(self._store.runs, after=after, limit=limit + 1)
        page = found[:limit]
        first, last = (page[0].id, page[-1].id) if page else (None, None)
        return RunList(data=page, first_id=first, last_id=last, has_more=len(found) > limit)

    async def items(self, run: str, page: ItemPage) -> ItemList:
        """A page of a run's items, in order. Raises UnknownRun, UnknownItem."""
        equal = page.model_dump(include={"status", "set", "setting"})
        found = await asyncio.to_thread(self._store.items, run, after=page.after, limit=page.limit + 1, **equal)
        items = found[: page.limit]
        first, last = (items[0].id, items[-1].id) if items else (None, None)
        return ItemList(data=items, first_id=first, last_id=last, has_more=len(found) > page.limit)

    async def report(self, run: str) -> Report:
        """The report; of an unfinished run, of the items done so far. Raises UnknownRun."""
        return await asyncio.to_thread(self._report_of, run)

    async def cancel(self, run: str) -> Run:
        """Stop a run. Raises UnknownRun, AlreadyFinished."""
        return await asyncio.to_thread(self._cancel, run)

    async def events(self, run: str, *, after: int) -> AsyncIterator[str]:
        """Server-sent events with a greater number than `after`, as they come, until the run has ended.

        They are read from the database, so that any process of the service can serve them.
        """
        while True:
            # the status before the events: an event that comes between the two is sent in the next round
            unfinished = (await self.run(run)).status in UNFINISHED
            news = await asyncio.to_thread(self._store.events, run, after=after)
            for one in news:
                yield event(one.data, id=str(one.number), name=one.name)
                after = one.number
            if not news and not unfinished:
                return
            if not news:
                await asyncio.sleep(_POLL_SECONDS)

    def _create(self, request: RunRequest, key: str | None) -> Run:
        known = self._store.by_key(key, request)
        if known is not None:
            return known
        suite = self._suites.get(request.suite)
        if suite is None:
            raise UnknownSuite(request.suite, self._suites)
        plan = suite.plan(_options(suite, request), request.limit, request.seed, self._home)
        versions = {"candor": code_version(), "suite": f"{suite.id}/{suite.version}"}
        run = self._store.create(_new_id(), request, plan, versions, key)
        self._jobs.queue(run.id)
        return run

    def _cancel(self, run: str) -> Run:
        cancelled = self._store.cancel(run)
        self._jobs.cancel(run)
        return cancelled

    def _report_of(self, run: str) -> Report:
        kept = self._store.report(run)
        if kept is not None:
            return kept
        now = self._store.run(run)
        return build_report(now, self._store.items(run), self._suites[now.suite])


def _options(suite: Suite, request: RunRequest) -> BaseModel:
    """The suite's options as given and defaulted; the first fault becomes an error that names the option."""
    try:
        return suite.options.model_validate(request.options)
    except ValidationError as error:
        fault = error.errors()[0]
        name = ".".join(str(part) for part in fault["loc"])
        if fault["type"] == "extra_forbidden":
            known = ", ".join(suite.options.model_fields)
            raise BadOption(name, f"The suite {suite.id} has no option {name!r}. It has: {known}.") from error
        raise BadOption(name, f"options.{name}: {fault['msg']}.") from error


def _view(suite: Suite) -> SuiteView:
    return SuiteView(
        id=suite.id,
        version=suite.version,
        title=suite.title,
        description=suite.description,
        options=suite.options.model_json_schema(),
    )


def _new_id() -> str:
    """Ids grow with time: milliseconds, then chance."""
    return f"eval-{time.time_ns() // 1_000_000:012x}{secrets.token_hex(4)}"
