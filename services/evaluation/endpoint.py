"""The endpoint under evaluation: any OpenAI-compatible server, asked with patience."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import httpx

_PASSING = {429, 502, 503, 504}
"""Overloaded, restarting, or (503 under `strict`) missing a service of its own: worth another try."""

_LONGEST_PAUSE = 8.0


class EndpointError(Exception):
    """The endpoint gave no answer, refused, or sent no JSON object."""


@dataclass(frozen=True)
class Reply:
    """A JSON object, and the time of the call that brought it (not of the tries before)."""

    body: dict[str, Any]
    latency_ms: float


class Endpoint:
    """Calls one base URL for one run. Use it in `async with`, in one event loop."""

    def __init__(self, url: str, *, run: str, api_key: str | None, timeout: float, patience: float) -> None:
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._http = httpx.AsyncClient(
            base_url=url,
            headers=headers,
            timeout=httpx.Timeout(timeout, connect=5.0),
            # as in shared.clients: a proxy named in the environment is not for calls inside a stack
            trust_env=False,
        )
        self._run, self._patience = run, patience
        self.url, self.api_key = url, api_key

    async def __aenter__(self) -> Endpoint:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def get(self, path: str) -> Reply:
        """GET a JSON object."""
        return await self._ask("GET", path)

    async def post(self, path: str, body: dict[str, Any], *, item: str) -> Reply:
        """POST a JSON object. The request id names run and item, so that the endpoint's logs can be joined to them."""
        request_id = re.sub(r"[^A-Za-z0-9._-]", "-", f"{self._run}.{item}")[:128]
        return await self._ask("POST", path, json=body, headers={"X-Request-Id": request_id})

    async def _ask(self, method: str, path: str, **request: Any) -> Reply:
        """Ask until there is an answer, an error that will not pass, or no patience left."""
        until, pause = time.monotonic() + self._patience, 0.5
        while True:
            started = time.perf_counter()
            try:
                response = await self._http.request(method, path, **request)
            except httpx.TimeoutException as error:
                # an answer that took too long once will take too long again
                if not isinstance(error, (httpx.ConnectTimeout, httpx.PoolTimeout)):
                    raise EndpointError(f"{self.url}{path} did not answer in time") from error
                problem = f"{self.url}{path} cannot be reached ({type(error).__name__})"
            except httpx.TransportError as error:
                problem = f"{self.url}{path} cannot be reached ({type(error).__name__})"
            else:
                if response.is_success:
                    return Reply(_object(response), (time.perf_counter() - started) * 1000)
                problem = _refusal(response)
                if response.status_code not in _PASSING:
                    raise EndpointError(problem)
            if time.monotonic() + pause > until:
                raise EndpointError(problem)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)


def _object(response: httpx.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError as error:
        raise EndpointError(f"an answer that is not JSON: {response.text[:200]!r}") from error
    if not isinstance(body, dict):
        raise EndpointError(f"an answer that is not a JSON object: {response.text[:200]!r}")
    return body


def _refusal(response: httpx.Response) -> str:
    """The endpoint's own words: OpenAI's error object, RFC 9457, or the body as it is."""
    try:
        body = response.json()
        detail = body["error"]["message"] if "error" in body else body["detail"]
    except (ValueError, KeyError, TypeError):
        detail = response.text[:200]
    return f"HTTP {response.status_code}: {detail}"
