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
_WARM_UP = 64


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
def _service() -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "bench.load", "--serve", str(port)]
    process = subprocess.Popen(command, env=os.environ | {"CANDOR_RETRIEVAL_QUEUE": "256"})
    address = f"http://127.0.0.1:{port}"
    try:
        while True:
            with suppress(httpx.HTTPError):
                if httpx.get(f"{address}/readyz", timeout=5, trust_env=False).status_code == 200:
                    break
            if process.poll() is not None:
                raise RuntimeError(f"the service ended with {process.returncode}")
            time.sleep(0.5)
        yield address
    finally:
        process.terminate()
        process.wait(60)


async def _load(address: str, callers: int, seconds: float, index: str) -> Figures:
    queries = cycle(_questions())
    times: list[float] = []
    errors = 0
    limits = httpx.Limits(max_connections=callers + 2)
    async with httpx.AsyncClient(base_url=address, timeout=300, limits=limits, trust_env=False) as client:

        async def ask() -> float:
            nonlocal errors
            started = time.perf_counter()
            answer = await client.post("/v1/search", json={"query": next(queries), "index": index})
            errors += answer.status_code != 200
            return (time.perf_counter() - started) * 1000

        await asyncio.gather(*(ask() for _ in range(_WARM_UP)))
        await client.get("/lags")
        until = time.perf_counter() + seconds

        async def caller() -> None:
            while time.perf_counter() < until:
                times.append(await ask())

        started = time.perf_counter()
        await asyncio.gather(*(caller() for _ in range(callers)))
        took = time.perf_counter() - started
        lags = (await client.get("/lags")).json()
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


def _questions() -> list[str]:
    found = [
        json.loads(line).get("question")
        for path in sorted((candor_home() / "questions").rglob("*.jsonl"))
        for line in path.open(encoding="utf-8")
    ]
    return [question for question in found if question][::7] or ["what is a slice?"]


if __name__ == "__main__":
    main()
