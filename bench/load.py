"""Sixty-four searches at a time: how much longer the slowest take than the median, and how long the event loop of the
service is ever blocked.

The service runs in a process of its own with a probe on its loop; the clients run in another.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import cycle

import httpx
import numpy as np
import uvicorn

from bench.result import Figures, finish
from services.retrieval.app import create_app
from shared.settings import candor_home

_PROBE_SECONDS = 0.002

Address = tuple[str, int]
"""Host and port."""


def main() -> None:
    """Load the service for some seconds with each index, report."""
    parser = argparse.ArgumentParser(prog="python -m bench.load", description=__doc__)
    parser.add_argument("--callers", type=int, default=64, help="searches under way at a time")
    parser.add_argument("--seconds", type=float, default=60, help="for each index")
    parser.add_argument("--index", nargs="+", default=["compactds", "leann", "bm25", "hybrid"])
    parser.add_argument("--quick", action="store_true", help="10 seconds")
    parser.add_argument("--serve", type=int, metavar="PORT", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        asyncio.run(_serve(given.serve))
        return
    seconds = 10 if given.quick else given.seconds
    figures: Figures = {}
    with _service() as address:
        for index in given.index:
            found = asyncio.run(_load(address, given.callers, seconds, index))
            figures |= {f"{index}_{figure}": value for figure, value in found.items()}
    finish("load", figures, vars(given))


async def _serve(port: int) -> None:
    """The service, with `/lags`: milliseconds by which each wait of the loop since the last call was too long."""
    app, lags = create_app(), list[float]()

    async def probe() -> None:
        while True:
            started = time.perf_counter()
            await asyncio.sleep(_PROBE_SECONDS)
            lags.append((time.perf_counter() - started - _PROBE_SECONDS) * 1000)

    @app.get("/lags")
    async def taken() -> list[float]:
        given = lags.copy()
        lags.clear()
        return given

    probing = asyncio.create_task(probe())
    await uvicorn.Server(uvicorn.Config(app, "127.0.0.1", port, log_level="warning", access_log=False)).serve()
    probing.cancel()


@contextmanager
def _service() -> Iterator[Address]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "bench.load", "--serve", str(port)]
    process = subprocess.Popen(command, env=os.environ | {"CANDOR_RETRIEVAL_QUEUE": "256"})
    try:
        while True:
            with suppress(httpx.HTTPError):
                if httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=5, trust_env=False).status_code == 200:
                    break
            if process.poll() is not None:
                raise RuntimeError(f"the service ended with {process.returncode}")
            time.sleep(0.5)
        yield "127.0.0.1", port
    finally:
        process.terminate()
        process.wait(60)


async def _load(address: Address, callers: int, seconds: float, index: str) -> Figures:
    queries = cycle(_questions())
    times: list[float] = []
    errors = 0

    async def caller(until: float) -> None:
        """Ask one question after another over a connection of its own.

        By hand: httpx's pool takes two thirds of the two cores for 64 connections, and serves them in no order, so that
        its 99th percentile was ten times the service's.
        """
        nonlocal errors
        reader, writer = await asyncio.open_connection(*address)
        while True:
            body = json.dumps({"query": next(queries), "index": index}).encode()
            started = time.perf_counter()
            head = b"POST /v1/search HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: "
            writer.write(head + str(len(body)).encode() + b"\r\n\r\n" + body)
            status, *fields = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
            length = next(int(field.split(b":")[1]) for field in fields if field.startswith(b"content-length"))
            await reader.readexactly(length)
            times.append((time.perf_counter() - started) * 1000)
            errors += b" 200 " not in status
            if time.perf_counter() > until:
                writer.close()
                return

    await asyncio.gather(*(caller(0) for _ in range(callers)))  # warms up
    times.clear()
    _lags(address)
    started = time.perf_counter()
    await asyncio.gather(*(caller(started + seconds) for _ in range(callers)))
    took = time.perf_counter() - started
    lags = _lags(address)
    p50, p99 = np.percentile(times, [50, 99])
    return {
        "search_p50_ms": float(p50),
        "search_p99_ms": float(p99),
        "p99_over_p50": float(p99 / p50),
        "loop_blocked_max_ms": max(lags),
        "loop_blocked_p99_ms": float(np.percentile(lags, 99)),
        "searches_per_second": len(times) / took,
        "searches": len(times),
        "errors": errors,
    }


def _lags(address: Address) -> list[float]:
    lags: list[float] = httpx.get(f"http://{address[0]}:{address[1]}/lags", timeout=30, trust_env=False).json()
    return lags


def _questions() -> list[str]:
    found = [
        json.loads(line).get("question")
        for path in sorted((candor_home() / "questions").rglob("*.jsonl"))
        for line in path.open(encoding="utf-8")
    ]
    return [question for question in found if question][::7] or ["what is a slice?"]


if __name__ == "__main__":
    main()
