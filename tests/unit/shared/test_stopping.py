"""A server that stops before an answer is there says so; who asked can tell that from a fault of the request."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import httpx
import pytest
import uvicorn
from fastapi import APIRouter, FastAPI
from fastapi.responses import StreamingResponse

from shared.http.app import create_app
from shared.http.health import Readiness

router = APIRouter()
entered = threading.Event()


@router.get("/v1/chat/completions/slow")
@router.get("/v1/slow")
async def slow() -> str:
    entered.set()
    await asyncio.sleep(60)
    return "done"


@router.get("/v1/begun")
async def begun() -> StreamingResponse:
    async def parts() -> AsyncIterator[bytes]:
        yield b"one "
        entered.set()
        await asyncio.sleep(60)

    return StreamingResponse(parts())


@asynccontextmanager
async def lifespan(app: FastAPI, readiness: Readiness) -> AsyncIterator[None]:
    readiness.done()
    yield


@contextmanager
def serving() -> Iterator[tuple[uvicorn.Server, str]]:
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(create_app("Test", [router], lifespan), log_level="critical", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield server, f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)
        listener.close()


def stop_in_mid_request(server: uvicorn.Server) -> None:
    assert entered.wait(20)
    entered.clear()
    server.should_exit = True


@pytest.mark.parametrize("path", ["/v1/slow", "/v1/chat/completions/slow"])
def test_a_request_cut_off_by_the_end_of_the_server_is_told_to_come_back(path: str) -> None:
    with serving() as (server, url):
        threading.Thread(target=stop_in_mid_request, args=(server,)).start()
        answer = httpx.get(url + path, timeout=30, trust_env=False)
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
    assert answer.headers["x-request-id"]
    error = answer.json().get("error", answer.json())
    assert error["code"] == "stopping"
    assert "is stopping" in (error.get("message") or error.get("detail"))


def test_an_answer_that_had_begun_is_cut_off_and_gets_no_second_beginning() -> None:
    with serving() as (server, url):
        threading.Thread(target=stop_in_mid_request, args=(server,)).start()
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(url + "/v1/begun", timeout=30, trust_env=False)
