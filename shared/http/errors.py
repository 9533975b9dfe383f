"""One error class, two renderers: OpenAI's error object on OpenAI's paths, RFC 9457 on all others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from shared.contracts.base import Problem
from shared.contracts.openai import ErrorBody, ErrorDetail
from shared.http.request_id import HEADER, REQUEST_ID, request_id

OPENAI_PATHS = ("/v1/chat/completions", "/v1/completions", "/v1/models", "/v1/embeddings")

_log = structlog.get_logger()


class CandorError(Exception):
    """What went wrong and what to do about it. Subclasses set `status` and `code`.

    `field` names the field of the request at fault; `retry_after` is in seconds.
    """

    status: int = 500
    code: str = "internal_error"

    def __init__(self, detail: str, *, field: str | None = None, retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.detail, self.field, self.retry_after = detail, field, retry_after


class InvalidRequest(CandorError):
    """The body or a parameter breaks the contract.

    `field` says where. On OpenAI's paths its status is 400.
    """

    status, code = 422, "invalid_request"


class NotJson(CandorError):
    """The body cannot be read."""

    status, code = 400, "invalid_request"


class NotFound(CandorError):
    """What the path or a field names does not exist."""

    status, code = 404, "not_found"


class Overloaded(CandorError):
    """The queue is full; try again after `retry_after` seconds."""

    status, code = 429, "overloaded"


class TooLarge(CandorError):
    """The body is larger than the service reads."""

    status, code = 413, "too_large"


class NotReady(CandorError):
    """The service is still loading, or a part of it failed to load."""

    status, code = 503, "not_ready"


def install_errors(app: FastAPI) -> None:
    """Render every error of the app as its path's error body."""

    @app.exception_handler(CandorError)
    async def candor_error(request: Request, error: CandorError) -> JSONResponse:
        return render(request.url.path, error)

    @app.exception_handler(RequestValidationError)
    async def validation(request: Request, error: RequestValidationError) -> JSONResponse:
        return render(request.url.path, _from_validation(error))

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        return render(request.url.path, _from_status(error.status_code, str(error.detail)), dict(error.headers or {}))

    @app.exception_handler(Exception)
    async def unexpected(request: Request, _: Exception) -> JSONResponse:
        # outside of all middleware, so what the middleware set is read from the request's scope
        identity = str(request.scope.get("state", {}).get(REQUEST_ID, "unknown"))
        _log.exception("unexpected error", path=request.url.path, request_id=identity)
        detail = f"The server failed in a way it did not foresee. Its log has the cause under {identity}."
        return render(request.url.path, CandorError(detail), {HEADER: identity})


def is_openai(path: str) -> bool:
    """Whether the path is OpenAI's, and so its errors are too."""
    return any(path == known or path.startswith(known + "/") for known in OPENAI_PATHS)


def render(path: str, error: CandorError, headers: dict[str, str] | None = None) -> JSONResponse:
    """The response for an error on this path."""
    headers = dict(headers or {})
    status = _status(type(error), error.status, openai=is_openai(path))
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if is_openai(path):
        return JSONResponse(error_body(error).model_dump(), status, headers)
    body = Problem(
        title=error.code.replace("_", " "),
        status=status,
        detail=error.detail,
        code=error.code,
        field=error.field,
        request_id=request_id() or headers.get(HEADER),
    )
    return JSONResponse(body.model_dump(), status, headers, media_type="application/problem+json")


def error_body(error: CandorError) -> ErrorBody:
    """OpenAI's error object, also used for an error in mid-stream."""
    if error.status in (401, 403):
        kind = "authentication_error" if error.status == 401 else "permission_error"
    elif error.status == 429:
        kind = "rate_limit_error"
    else:
        kind = "invalid_request_error" if error.status < 500 else "server_error"
    return ErrorBody(error=ErrorDetail(message=error.detail, type=kind, param=error.field, code=error.code))


def _status(kind: type[CandorError], status: int, *, openai: bool) -> int:
    # OpenAI clients expect 400 for any invalid input; elsewhere 422 says "well-formed, but not valid"
    return 400 if openai and issubclass(kind, InvalidRequest) else status


def _from_validation(error: RequestValidationError) -> CandorError:
    """The first fault, with the path of the field as the client wrote it."""
    first = error.errors()[0]
    # a rule of our own says what is wrong in its own words
    what = str(first["msg"]).removeprefix("Value error, ")
    if first["type"] == "json_invalid":
        return NotJson(f"The body is not valid JSON: {first.get('ctx', {}).get('error', what)}.")
    field = _field(first["loc"], error.body, missing=first["type"] == "missing")
    unknown = first["type"] == "extra_forbidden"
    if not field:
        # the whole body is at fault: it is none, or no object, or a rule speaks of several fields
        no_object = first["type"] in ("missing", "model_attributes_type")
        what = "the body has to be a JSON object, sent as application/json" if no_object else what
        detail = f"{what[:1].upper()}{what[1:]}."
    else:
        detail = f"There is no field {field!r} here." if unknown else f"{field}: {what}."
    return InvalidRequest(detail, field=field or None)


def _field(place: Sequence[str | int], body: Any, *, missing: bool) -> str:
    """The path of a fault as the client wrote it.

    pydantic names the branches of a union on the way; they are told apart by not being in the body.
    """
    where, *parts = place
    if where != "body":
        return ".".join(map(str, parts))
    path: list[str] = []
    for part in parts:
        if (isinstance(body, dict) and part in body) or (isinstance(body, list) and isinstance(part, int)):
            path.append(str(part))
            body = cast(Any, body)[part]
    named = ".".join([*path, str(parts[-1])] if missing and parts else path)
    # a name in JSON may have half of a surrogate pair, which no response can
    return named.encode("utf-8", "backslashreplace").decode()


def _from_status(status: int, detail: str) -> CandorError:
    if status == 400:
        # FastAPI's, of a body that its JSON parser could not even begin to read
        return NotJson("The body is not valid JSON.")
    error = CandorError(detail)
    codes = {
        401: "unauthorized",
        403: "forbidden",
        404: "not_found",
        405: "method_not_allowed",
        413: "too_large",
    }
    error.status, error.code = status, codes.get(status, "http_error")
    return error


def problems(*kinds: type[CandorError]) -> dict[int | str, dict[str, object]]:
    """The `responses=` of a route that may raise these errors, with RFC 9457 bodies."""
    return _responses(Problem, (InvalidRequest, *kinds)) | {"default": _documented(Problem, "Any other error.")}


def openai_errors(*kinds: type[CandorError]) -> dict[int | str, dict[str, object]]:
    """The `responses=` of an OpenAI route that may raise these errors: the body of every other one is the same."""
    return _responses(ErrorBody, (InvalidRequest, *kinds)) | {"default": _documented(ErrorBody, "Any other error.")}


def _responses(
    model: type[Problem] | type[ErrorBody], kinds: tuple[type[CandorError], ...]
) -> dict[int | str, dict[str, object]]:
    documented: dict[int | str, dict[str, object]] = {}
    for kind in kinds:
        # several may have one status
        status = _status(kind, kind.status, openai=model is ErrorBody)
        documented.setdefault(status, _documented(model, (kind.__doc__ or kind.code).splitlines()[0]))
    return documented


def _documented(model: type[Problem] | type[ErrorBody], description: str) -> dict[str, object]:
    return {"model": model, "description": description}
