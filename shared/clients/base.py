"""How every client calls: pydantic in, pydantic out, and one error for whatever goes wrong on the way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ValidationError

from shared.contracts.base import Readiness
from shared.http.request_id import HEADER, request_id

Answer = TypeVar("Answer", bound=BaseModel)

CONNECT_SECONDS = 2.0


class ServiceError(Exception):
    """A service could not be reached or refused.

    `status` is None when there was no answer at all; `field` is what the service named as being at fault.
    """

    def __init__(
        self,
        service: str,
        detail: str,
        *,
        status: int | None = None,
        code: str | None = None,
        field: str | None = None,
    ) -> None:
        super().__init__(f"{service}: {detail}")
        self.service, self.detail, self.status, self.code, self.field = service, detail, status, code, field


class ServiceClient:
    """Calls one service. Subclasses add a method for each path."""

    def __init__(self, name: str, base_url: str, *, timeout: float = 120.0) -> None:
        self.name = name
        self._http = httpx.AsyncClient(
            base_url=base_url,
            timeout=httpx.Timeout(timeout, connect=CONNECT_SECONDS),
            limits=httpx.Limits(max_connections=256, max_keepalive_connections=64),
            # a proxy named in the environment is not for calls between our own services
            trust_env=False,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def readiness(self) -> Readiness:
        """What the service says of itself; not ready, with the cause, when it does not answer."""
        try:
            response = await self._http.get("/readyz", timeout=2.0)
            return Readiness.model_validate_json(response.content)
        except (httpx.HTTPError, ValidationError) as error:
            return Readiness(ready=False, phase=f"unreachable: {type(error).__name__}")

    async def _get(self, answer: type[Answer], path: str, **params: Any) -> Answer:
        return await self._call(answer, "GET", path, params=params)

    async def _post(
        self,
        answer: type[Answer],
        path: str,
        body: BaseModel,
        headers: Mapping[str, str] | None = None,
        *,
        seconds: float | None = None,
    ) -> Answer:
        """`seconds`: how long this call is waited for, in place of the client's own patience."""
        content = body.model_dump(mode="json", exclude_unset=True)
        patience = {} if seconds is None else {"timeout": httpx.Timeout(seconds, connect=CONNECT_SECONDS)}
        return await self._call(answer, "POST", path, headers, json=content, **patience)

    async def _call(
        self, answer: type[Answer], method: str, path: str, headers: Mapping[str, str] | None = None, **request: Any
    ) -> Answer:
        response = await self._request(method, path, headers, **request)
        try:
            return answer.model_validate_json(response.content)
        except ValidationError as error:
            raise ServiceError(self.name, f"an answer that breaks the contract: {error}") from error

    async def _delete(self, path: str) -> None:
        """A path whose answer has no body."""
        await self._request("DELETE", path)

    async def _request(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, **request: Any
    ) -> httpx.Response:
        try:
            response = await self._http.request(
                method, path, headers={**_request_headers(), **(headers or {})}, **request
            )
        except httpx.HTTPError as error:
            raise ServiceError(self.name, f"no answer ({type(error).__name__})") from error
        except UnicodeEncodeError as error:
            raise self._unsendable() from error
        if response.is_error:
            raise self._refusal(response)
        return response

    @asynccontextmanager
    async def _events(self, path: str, body: BaseModel) -> AsyncIterator[AsyncIterator[str]]:
        """The data of each server-sent event until `[DONE]`; leaving the block closes the connection."""
        request = body.model_dump(mode="json", exclude_unset=True)
        try:
            async with self._http.stream("POST", path, json=request, headers=_request_headers()) as response:
                if response.is_error:
                    await response.aread()
                    raise self._refusal(response)
                yield _data(response)
        except httpx.HTTPError as error:
            raise ServiceError(self.name, f"the stream broke ({type(error).__name__})") from error
        except UnicodeEncodeError as error:
            raise self._unsendable() from error

    def _unsendable(self) -> ServiceError:
        """Refused as the service would, if such a request could reach it."""
        detail = "the request has half of a surrogate pair in it, which is no character: this is not valid Unicode."
        return ServiceError(self.name, detail, status=422, code="invalid_request")

    def _refusal(self, response: httpx.Response) -> ServiceError:
        """The service's own words, from either of the two error bodies."""
        try:
            body = response.json()
        except ValueError:
            body = {}
        body = body if isinstance(body, dict) else {}
        error = body.get("error")
        if isinstance(error, dict):
            body = {"detail": error.get("message"), "code": error.get("code"), "field": error.get("param")}
        return ServiceError(
            self.name,
            str(body.get("detail") or response.reason_phrase),
            status=response.status_code,
            code=body.get("code"),
            field=body.get("field"),
        )


def segment(text: str) -> str:
    """A piece of a path that a client of ours was given by a client of its own.

    Raises ServiceError for a dot segment, which no quoting keeps from changing the path.
    """
    if text in ("", ".", ".."):
        raise ServiceError("path", f"There is no {text!r}.", status=404, code="not_found")
    return quote(text, safe="")


async def _data(response: httpx.Response) -> AsyncIterator[str]:
    async for line in response.aiter_lines():
        if line.startswith("data: "):
            if (data := line.removeprefix("data: ")) == "[DONE]":
                return
            yield data


def _request_headers() -> dict[str, str]:
    """The request id goes with the call, so that the logs of all services can be joined."""
    return {HEADER: request_id()} if request_id() else {}
