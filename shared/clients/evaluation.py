"""The evaluation service's client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import httpx

from shared.clients.base import ServiceClient, ServiceError, segment
from shared.contracts.evaluation import (
    ItemFinished,
    ItemList,
    ItemPage,
    Report,
    ReportFormat,
    RescoreRequest,
    Run,
    RunList,
    RunRequest,
    RunsCompared,
    SuiteList,
)

_PAGE_SECONDS = 300.0
"""A comparison is computed before its page begins."""

RESUMES = 30
"""How often in a row `follow` tries to get a broken stream back, a second apart."""

_AWAY = (502, 503, 504)
"""What a gateway answers while the service is away."""

PLANNING_SECONDS = 600.0
"""How long a run may take to be queued: a plan reads all texts that it is about."""


class EvaluationClient(ServiceClient):
    """Calls the evaluation service."""

    def __init__(self, base_url: str, *, timeout: float = 30.0, planning: float = PLANNING_SECONDS) -> None:
        super().__init__("evaluation", base_url, timeout=timeout)
        self._planning = planning

    async def suites(self) -> SuiteList:
        """What can be run."""
        return await self._get(SuiteList, "/v1/suites")

    async def create(self, request: RunRequest, idempotency_key: str | None = None) -> Run:
        """Queue a run; the same key gives the same run again."""
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        return await self._post(Run, "/v1/evaluations", request, headers, seconds=self._planning)

    async def run(self, run: str) -> Run:
        """A run and its progress."""
        return await self._get(Run, f"/v1/evaluations/{segment(run)}")

    async def runs(self, *, after: str | None = None, limit: int = 20) -> RunList:
        """Runs, newest first."""
        return await self._get(RunList, "/v1/evaluations", limit=limit, **({"after": after} if after else {}))

    async def cancel(self, run: str) -> Run:
        """Stop a run after the items under way."""
        return await self._call(Run, "POST", f"/v1/evaluations/{segment(run)}/cancel")

    async def items(self, run: str, page: ItemPage) -> ItemList:
        """The items of a run, in order."""
        wanted = page.model_dump(mode="json", exclude_none=True)
        return await self._get(ItemList, f"/v1/evaluations/{segment(run)}/items", **wanted)

    async def report(self, run: str) -> Report:
        """Scores and comparisons of a finished run."""
        return await self._get(Report, f"/v1/evaluations/{segment(run)}/report")

    async def rescore(self, run: str, request: RescoreRequest, idempotency_key: str | None = None) -> Run:
        """Queue a run that scores the answers of another; the same key gives the same run again."""
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        return await self._post(Run, f"/v1/evaluations/{segment(run)}/rescore", request, headers)

    async def compare(self, runs: Sequence[str]) -> RunsCompared:
        """Every run against the first."""
        return await self._get(RunsCompared, "/v1/evaluations/compare", runs=list(runs))

    @asynccontextmanager
    async def report_as(self, run: str, format: ReportFormat) -> AsyncIterator[httpx.Response]:
        """A report as Markdown or as a page, to be read as it comes. The answer may be an error."""
        path = f"/v1/evaluations/{segment(run)}/report"
        async with self._http.stream("GET", path, params={"format": format}, timeout=_PAGE_SECONDS) as response:
            yield response

    @asynccontextmanager
    async def compared_as(self, runs: Sequence[str], format: ReportFormat) -> AsyncIterator[httpx.Response]:
        """A comparison as Markdown or as a page, to be read as it comes. The answer may be an error."""
        wanted = {"runs": list(runs), "format": format}
        path = "/v1/evaluations/compare"
        async with self._http.stream("GET", path, params=wanted, timeout=_PAGE_SECONDS) as response:
            yield response

    @asynccontextmanager
    async def pieces(self, opening: AbstractAsyncContextManager[httpx.Response]) -> AsyncIterator[httpx.Response]:
        """One of the answers above, begun. Raises ServiceError for an error and for none at all."""
        try:
            async with opening as response:
                if response.is_error:
                    await response.aread()
                    raise self._refusal(response)
                yield response
        except httpx.HTTPError as error:
            raise ServiceError(self.name, f"no answer ({type(error).__name__})") from error

    async def follow(self, run: str) -> AsyncIterator[Run | ItemFinished]:
        """A run's events from its beginning until it has ended; the last one is the Run. A broken stream is resumed."""
        seen, breaks = 0, 0
        while True:
            try:
                async with self.events(run, str(seen)) as response:
                    if response.is_error:
                        await response.aread()
                        raise self._refusal(response)
                    async for number, name, data in _frames(response):
                        seen, breaks = number, 0
                        yield Run.model_validate_json(data) if name == "run" else ItemFinished.model_validate_json(data)
                    return
            except (httpx.HTTPError, ServiceError) as error:
                if isinstance(error, ServiceError) and error.status not in _AWAY:
                    raise
                breaks += 1
                if breaks > RESUMES:
                    raise ServiceError(self.name, f"the events broke off ({type(error).__name__})") from error
                await asyncio.sleep(1.0)

    @asynccontextmanager
    async def events(self, run: str, last_event_id: str | None = None) -> AsyncIterator[httpx.Response]:
        """The raw server-sent events of a run, to be passed on; `follow` reads them."""
        headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
        path = f"/v1/evaluations/{segment(run)}/events"
        async with self._http.stream("GET", path, headers=headers, timeout=None) as response:
            yield response


async def _frames(response: httpx.Response) -> AsyncIterator[tuple[int, str, str]]:
    """Number, name and data of each event."""
    fields: dict[str, str] = {}
    async for line in response.aiter_lines():
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif "data" in fields:
            yield int(fields["id"]), fields["event"], fields["data"]
            fields = {}
