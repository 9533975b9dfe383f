"""Prometheus metrics: requests and their latency by route, in a registry of the app's own."""

from __future__ import annotations

import time

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, Counter, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_requests = Counter("candor_requests", "Requests by route and status.", ["app", "method", "route", "status"])
_seconds = Histogram("candor_request_seconds", "Time to the last byte by route.", ["app", "method", "route"])


def metrics_router() -> APIRouter:
    """`GET /metrics`."""
    router = APIRouter(tags=["health"])

    @router.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """Prometheus text format."""
        return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)

    return router


class MetricsMiddleware:
    """Counts and times each request under the template of its route, never under its path: paths are unbounded."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watch)
        finally:
            route = getattr(scope.get("route"), "path", "unmatched")
            app = scope["app"].title
            _requests.labels(app, scope["method"], route, str(status)).inc()
            _seconds.labels(app, scope["method"], route).observe(time.perf_counter() - started)
