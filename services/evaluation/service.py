"""What the routes call: create runs, look at them, follow them, cancel them."""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from services.evaluation import sound
from services.evaluation.calling import tried
from services.evaluation.compare import Measured, compare_runs
from services.evaluation.endpoints import Endpoints
from services.evaluation.errors import (
    BadOption,
    NotComparable,
    NotFinished,
    OnlyOfAStack,
    SuiteFailed,
    UnknownEndpoint,
    UnknownSuite,
)
from services.evaluation.joined import joined
from services.evaluation.measured import gather
from services.evaluation.options import read
from services.evaluation.page.compared import compared_page
from services.evaluation.page.run import run_page
from services.evaluation.plans import check
from services.evaluation.report import build_report
from services.evaluation.rescoring import check_metrics, kinds
from services.evaluation.store.reading import UNFINISHED
from services.evaluation.store.runs import Rescoring, Store
from services.evaluation.suites.base import Local, Plan, Planned, Suite, others
from services.evaluation.suites.outside import Outside, planned_for
from services.evaluation.versions import code_version
from shared.contracts.evaluation import (
    STACK,
    ItemList,
    ItemPage,
    Report,
    RescoreRequest,
    Run,
    RunList,
    RunRequest,
    RunsCompared,
)
from shared.contracts.evaluation import Suite as SuiteView
from shared.http.sse import event

if TYPE_CHECKING:
    from services.evaluation.jobs import Jobs

_POLL_SECONDS = 0.25

MOST_COMPARED = 8
"""Runs of a comparison."""


class Evaluations:
    """The service. Its own work is short; what blocks runs in threads."""

    def __init__(self, store: Store, jobs: Jobs, suites: Mapping[str, Suite], endpoints: Endpoints, home: Path) -> None:
        self._store, self._jobs, self._suites, self._endpoints, self._home = store, jobs, suites, endpoints, home

    def close(self) -> None:
        """Let go of the runs under way, to be carried on by the next process, and of the database."""
        self._jobs.stop()
        self._store.close()

    def suites(self) -> list[SuiteView]:
        """What can be run, with the JSON schema of its options."""
        return [view for suite in self._suites.values() if (view := _view(suite)) is not None]

    async def create(self, request: RunRequest, key: str | None) -> Run:
        """Plan a run, store it and queue it.

        Raises UnknownSuite, UnknownEndpoint, OnlyOfAStack, BadOption, BadPlan, MissingData, SuiteFailed, KeyReused.
        """
        return await asyncio.to_thread(self._create, request, key)

    async def run(self, run: str) -> Run:
        """A run. Raises UnknownRun."""
        return await asyncio.to_thread(self._store.run, run)

    async def runs(self, *, after: str | None, limit: int) -> RunList:
        """A page of runs, newest first. Raises UnknownRun."""
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

    async def rescore(self, run: str, request: RescoreRequest, key: str | None) -> Run:
        """Queue a run that scores another's answers.

        Raises UnknownRun, UnknownSuite, BadMetric, NotFinished, KeyReused.
        """
        return await asyncio.to_thread(self._rescore, Rescoring(run=run, **dict(request)), key)

    async def report(self, run: str) -> Report:
        """The report; of an unfinished run, of the items done so far. Raises UnknownRun."""
        return await asyncio.to_thread(self._report_of, run)

    async def page(self, run: str) -> Iterator[str]:
        """The report as a page with all its items, in parts. Going through it blocks. Raises UnknownRun."""
        return run_page(await self.report(run), await asyncio.to_thread(self._store.all_items, run))

    async def compare(self, runs: Sequence[str]) -> RunsCompared:
        """Every run against the first. Raises UnknownRun, NotComparable."""
        return await asyncio.to_thread(self._compare, runs)

    async def compared_page(self, runs: Sequence[str]) -> Iterator[str]:
        """A comparison as a page with all items of the first run, in parts. Going through it blocks."""
        compared = await self.compare(runs)
        return compared_page(compared, joined(self._store, compared), compared.runs[0].progress.total)

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
            return self._queued_again(known)
        suite = self._suite(request.suite)
        plan = self._plan(suite, request)
        check(plan, suite)
        versions = {**_versions(suite), "requests": f"sha256:{_digest(plan.items)}"}
        run = self._store.create(_new_id(), request, plan, versions, key)
        self._jobs.queue(run.id)
        return run

    def _plan(self, suite: Suite, request: RunRequest) -> Plan:
        """What is asked, as its endpoint is asked it."""
        there = self._endpoints.named(request.endpoint)
        if request.endpoint != STACK and isinstance(suite, Local):
            raise OnlyOfAStack(f"The suite {suite.id} asks no endpoint: what it measures is on the service's machine.")
        options = read(suite, request.options)
        named = tried(suite.id, "others", lambda: sound.checked(dict[str, str], others(suite, options)))
        for option, name in named.items():
            self._check_beside(option, name)
        planning = partial(suite.plan, options, request.limit, request.seed, self._home)
        if there.model is not None:
            planning = partial(planned_for, Outside(request.endpoint, there.model), suite, planning)
        plan = tried(suite.id, "plan", lambda: sound.plan(suite.id, planning()))
        beside = [*named.values()]
        versions = {**plan.versions, **self._endpoints.kind(request.endpoint), **self._endpoints.beside(beside)}
        sent = self._endpoints.sent_to(request.endpoint, beside)
        return replace(plan, versions=versions, warnings=[*plan.warnings, *sent])

    def _check_beside(self, option: str, name: str) -> None:
        """Whether an option names an endpoint that can be asked beside the one measured. Raises BadOption."""
        try:
            found = self._endpoints.named(name)
        except UnknownEndpoint as error:
            raise BadOption(option, str(error)) from error
        if found.model is None:
            raise BadOption(option, f"The endpoint {name!r} has no model in CANDOR_EVALUATION_ENDPOINTS: name one.")

    def _rescore(self, request: Rescoring, key: str | None) -> Run:
        known = self._store.by_key(key, request)
        if known is not None:
            return self._queued_again(known)
        of = self._store.run(request.run)
        if of.status in UNFINISHED:
            raise NotFinished(of.id, of.status)
        check_metrics(request.metrics)
        suite = self._suite(request.suite or of.suite)
        never = of.progress.total - of.progress.done
        warnings = [f"{never} items were never asked, and are left out."] if never else []
        run = self._store.rescore(_new_id(), request, key, suite=suite.id, versions=_versions(suite), warnings=warnings)
        self._jobs.queue(run.id)
        return run

    def _queued_again(self, known: Run) -> Run:
        """A run that was asked for before; queued, if the request of then did not come so far."""
        if known.status == "queued":
            self._jobs.queue(known.id)
        return known

    def _compare(self, runs: Sequence[str]) -> RunsCompared:
        if not 2 <= len({*runs}) == len(runs) <= MOST_COMPARED:
            raise NotComparable(f"Name 2 to {MOST_COMPARED} different runs: the others are compared with the first.")
        return compare_runs([self._measured(run) for run in runs])

    def _measured(self, run: str) -> Measured:
        about = self._store.run(run)
        suite = self._suite(about.suite)
        groups = gather(self._store.all_items(run))
        return Measured(about, groups, kinds(suite, about.metrics), [*suite.compared, *about.metrics])

    def _suite(self, name: str) -> Suite:
        if name not in self._suites:
            raise UnknownSuite(name, self._suites)
        return self._suites[name]

    def _cancel(self, run: str) -> Run:
        cancelled = self._store.cancel(run)
        self._jobs.cancel(run)
        return cancelled

    def _report_of(self, run: str) -> Report:
        kept = self._store.report(run)
        if kept is not None:
            return kept
        now = self._store.run(run)
        return build_report(now, self._store.all_items(run), self._suite(now.suite))


def _versions(suite: Suite) -> dict[str, str]:
    return {"candor": code_version(), "suite": f"{suite.id}/{suite.version}"}


def _digest(items: Iterable[Planned]) -> str:
    """SHA-256 of everything that is asked, prompts and sampling included, in the order in which it is asked."""
    content = hashlib.sha256()
    for item in items:
        content.update(json.dumps(asdict(item), sort_keys=True, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
    return content.hexdigest()


def _view(suite: Suite) -> SuiteView | None:
    """A suite as it is listed; none of one that fails to say it, whose fault is logged and costs the others nothing."""

    def said() -> SuiteView:
        return SuiteView(
            id=suite.id,
            version=suite.version,
            title=suite.title,
            description=suite.description,
            options=sound.json_kept(suite.options.model_json_schema()),
        )

    with suppress(SuiteFailed):
        return tried(suite.id, "listing", said)
    return None


def _new_id() -> str:
    """Ids grow with time: milliseconds, then chance."""
    return f"eval-{time.time_ns() // 1_000_000:012x}{secrets.token_hex(4)}"
