"""The endpoint under evaluation: any OpenAI-compatible server, asked with patience."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import httpx

_PASSING = {429, 502, 503, 504}
"""Overloaded, restarting, or (503 under `strict`) missing a service of its own: worth another try."""

_LONGEST_PAUSE = 8.0

MOST_BYTES = 256_000_000
"""Of an answer: 64 samples with their passages are a few million."""


class EndpointError(Exception):
    """The endpoint gave no answer, refused, or sent no JSON object. `status`: that of HTTP which it refused with."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Reply:
    """A JSON object, and the time of the call that brought it (not of the tries before)."""

    body: dict[str, Any]
    latency_ms: float


class Endpoint:
    """Calls one base URL for one run. Use it in `async with`, in one event loop.

    `model`: the model to ask for, of a server that is no Candor stack. `beside` opens another endpoint of the run.
    """

    def __init__(
        self,
        url: str,
        *,
        run: str,
        api_key: str | None,
        timeout: float,
        patience: float,
        model: str | None = None,
        beside: Callable[[str], Endpoint] | None = None,
    ) -> None:
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._http = httpx.AsyncClient(
            base_url=url,
            headers=headers,
            timeout=httpx.Timeout(timeout, connect=5.0),
            # as in shared.clients: a proxy named in the environment is not for calls inside a stack
            trust_env=False,
        )
        self._run, self._patience, self._seconds = run, patience, timeout
        self.url, self.api_key, self.model = url, api_key, model
        self._beside, self._others = beside, dict[str, Endpoint]()

    async def __aenter__(self) -> Endpoint:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        async with AsyncExitStack() as closing:
            for other in self._others.values():
                closing.push_async_exit(other)
            await self._http.aclose()

    def beside(self, name: str) -> Endpoint:
        """Another endpoint of the run, by its name; closed with this one. Raises UnknownEndpoint."""
        if name not in self._others:
            if self._beside is None:
                raise EndpointError(f"{self.url} was opened without others beside it")
            self._others[name] = self._beside(name)
        return self._others[name]

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
            started, refused = time.perf_counter(), None
            try:
                # httpx's own limit is between two pieces: an answer that comes drop by drop would never be over it
                async with asyncio.timeout(self._seconds):
                    status, content = await self._whole(method, path, request)
            except (httpx.ConnectTimeout, httpx.PoolTimeout) as error:
                problem = f"{self.url}{path} cannot be reached ({type(error).__name__})"
            except (httpx.TimeoutException, TimeoutError) as error:
                # an answer that took too long once will take too long again
                raise EndpointError(f"{self.url}{path} did not answer in time") from error
            except httpx.DecodingError as error:
                raise EndpointError(f"{self.url}{path} sent an answer in a broken encoding") from error
            except (httpx.RemoteProtocolError, httpx.ReadError) as error:
                # the same hang-up is one or the other by whether the endpoint had read the whole request
                problem = (
                    f"{self.url}{path} broke off its answer, or speaks no HTTP ({str(error) or type(error).__name__})"
                )
            except httpx.TransportError as error:
                problem = f"{self.url}{path} cannot be reached ({type(error).__name__})"
            else:
                if httpx.codes.is_success(status):
                    return Reply(_object(content), (time.perf_counter() - started) * 1000)
                problem, refused = _refusal(status, content), status
                if status not in _PASSING:
                    raise EndpointError(problem, status=refused)
            if time.monotonic() + pause > until:
                raise EndpointError(problem, status=refused)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _whole(self, method: str, path: str, request: Mapping[str, Any]) -> tuple[int, bytes]:
        """Status and body. Raises EndpointError for a body that is too long to be an answer."""
        content = bytearray()
        async with self._http.stream(method, path, **request) as response:
            async for piece in response.aiter_bytes():
                content += piece
                if len(content) > MOST_BYTES:
                    raise EndpointError(f"{self.url}{path} sent an answer of more than {MOST_BYTES // 10**6} MB")
            return response.status_code, bytes(content)


def _object(content: bytes) -> dict[str, Any]:
    try:
        body = json.loads(content, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise EndpointError(f"an answer that is not JSON: {_beginning(content)!r}") from error
    if not isinstance(body, dict):
        raise EndpointError(f"an answer that is not a JSON object: {_beginning(content)!r}")
    return body


def _no_number(name: str) -> float:
    """Python reads NaN and Infinity, which JSON does not have and no score can be made of."""
    raise ValueError(f"{name} is not JSON")


def _refusal(status: int, content: bytes) -> str:
    """The endpoint's own words: OpenAI's error object, RFC 9457, or the body as it is."""
    try:
        body = json.loads(content)
        detail = body["error"]["message"] if "error" in body else body["detail"]
    except (ValueError, KeyError, TypeError, RecursionError):
        detail = _beginning(content)
    return f"HTTP {status}: {str(detail)[:2000]}"


def _beginning(content: bytes) -> str:
    return content[:200].decode(errors="replace")
