"""Lines of the log for each request and for each answer, without the text of prompts and answers."""

from __future__ import annotations

import time

import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.contracts.candor import CandorReport
from shared.http.request_id import HEADER, request_id

QUIET = frozenset({"/livez", "/readyz", "/health", "/metrics"})
"""Paths that machines ask for every few seconds."""

_log = structlog.get_logger("candor.gateway")


def log_answer(model: str, report: CandorReport) -> None:
    """Who took part and how long it took."""
    _log.info(
        "answered",
        request_id=request_id(),
        id=report.id,
        model=model,
        owners=report.owners.effective,
        passages=len(report.passages),
        samples=len(report.samples),
        tokens=sum(sample.tokens for sample in report.samples),
        spans=len(report.trace.spans) if report.trace else None,
        failed=[stage.stage for stage in report.failed],
        timings=report.timings.model_dump(),
    )


class RequestLog:
    """Logs method, path, status and time of each request. Outermost: the request id is in the response by then."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["path"] in QUIET:
            await self._app(scope, receive, send)
            return
        began, status, identity = time.perf_counter(), 0, ""

        async def watch(message: Message) -> None:
            nonlocal status, identity
            if message["type"] == "http.response.start":
                status, identity = message["status"], Headers(raw=message["headers"]).get(HEADER, "")
            await send(message)

        try:
            await self._app(scope, receive, watch)
        finally:
            spent = round(1000 * (time.perf_counter() - began), 1)
            _log.info(
                "request",
                request_id=identity,
                method=scope["method"],
                path=scope["path"],
                status=status,
                milliseconds=spent,
            )
