"""What is logged of a request, and what never is."""

import asyncio
from typing import Any

import httpx
from fastapi import FastAPI
from structlog.testing import capture_logs

from gateway.telemetry import RequestLog
from shared.http.request_id import RequestIdMiddleware


def test_a_request_is_logged_with_id_path_status_and_time_and_without_its_text() -> None:
    app = FastAPI()

    @app.post("/v1/things")
    async def things() -> dict[str, str]:
        return {"secret": "the answer"}

    @app.get("/livez")
    async def livez() -> bool:
        return True

    app.add_middleware(RequestIdMiddleware)
    app.add_middleware(RequestLog)
    logs = asyncio.run(_asked(app))
    assert [(log["method"], log["path"], log["status"], log["request_id"]) for log in logs] == [
        ("POST", "/v1/things", 200, "mine-1")
    ]
    assert logs[0]["milliseconds"] >= 0
    assert "secret" not in str(logs)
    assert "the question" not in str(logs)


async def _asked(app: FastAPI) -> list[Any]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        with capture_logs() as logs:
            await client.post(
                "/v1/things?q=the%20question", headers={"x-request-id": "mine-1"}, json={"q": "the question"}
            )
            await client.get("/livez")
    return list(logs)
