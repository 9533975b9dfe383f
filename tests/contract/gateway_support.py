"""A real gateway on a free port, with any addresses of its services, and any other app beside it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import uvicorn
from fastapi import FastAPI

from gateway.app import create_app
from gateway.settings import GatewaySettings


def closed_port() -> str:
    """The address of a service that is down."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


@contextmanager
def gateway(settings: GatewaySettings) -> Iterator[str]:
    """A gateway that has started and has its ledger; its address."""
    with serving(create_app(settings)) as address:
        _until_migrated(address)
        yield address


@contextmanager
def gateway_before(model: str, folder: Path) -> Iterator[httpx.Client]:
    """A client of a gateway whose only service is this model service; its ledger is in `folder`."""
    down = closed_port()
    settings = GatewaySettings(
        model_url=model,
        retrieval_url=down,
        tracing_url=down,
        evaluation_url=down,
        database_url=f"sqlite:///{folder / 'gateway.db'}",
    )
    with gateway(settings) as address, httpx.Client(base_url=address, timeout=60) as client:
        yield client


@contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """An app that has started; its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        until = time.monotonic() + 120
        while not server.started and time.monotonic() < until:
            time.sleep(0.02)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(15)


def _until_migrated(address: str, seconds: float = 120) -> None:
    """It is ready only when every service is, and in most tests not all are."""
    until = time.monotonic() + seconds
    while httpx.get(address + "/v1/ledger").status_code != 200:
        assert time.monotonic() < until, httpx.get(address + "/readyz").text
        time.sleep(0.1)
