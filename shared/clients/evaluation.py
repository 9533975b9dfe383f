"""The evaluation service's client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from shared.clients.base import ServiceClient
from shared.contracts.evaluation import ItemList, Report, Run, RunList, RunRequest, SuiteList


class EvaluationClient(ServiceClient):
    """Calls the evaluation service."""

    def __init__(self, base_url: str, *, timeout: float = 30.0) -> None:
        super().__init__("evaluation", base_url, timeout=timeout)

    async def suites(self) -> SuiteList:
        """What can be run."""
        return await self._get(SuiteList, "/v1/suites")

    async def create(self, request: RunRequest) -> Run:
        """Queue a run."""
        return await self._post(Run, "/v1/evaluations", request)

    async def run(self, run: str) -> Run:
        """A run and its progress."""
        return await self._get(Run, f"/v1/evaluations/{run}")

    async def runs(self, *, after: str | None = None, limit: int = 20) -> RunList:
        """Runs, newest first."""
        return await self._get(RunList, "/v1/evaluations", limit=limit, **({"after": after} if after else {}))

    async def cancel(self, run: str) -> Run:
        """Stop a run after the items under way."""
        return await self._call(Run, "POST", f"/v1/evaluations/{run}/cancel")

    async def items(self, run: str, *, after: str | None = None, limit: int = 100) -> ItemList:
        """The items of a run, in order."""
        page = {"limit": limit, **({"after": after} if after else {})}
        return await self._get(ItemList, f"/v1/evaluations/{run}/items", **page)

    async def report(self, run: str) -> Report:
        """Scores and comparisons of a finished run."""
        return await self._get(Report, f"/v1/evaluations/{run}/report")

    @asynccontextmanager
    async def events(self, run: str, last_event_id: str | None = None) -> AsyncIterator[httpx.Response]:
        """The raw server-sent events of a run, to be passed on or read line by line."""
        headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
        path = f"/v1/evaluations/{run}/events"
        async with self._http.stream("GET", path, headers=headers, timeout=None) as response:
            yield response
