"""What the gateway itself costs: its share of a request's time, and requests per second through it.

The overhead is a request's whole time at the gateway less the time in which it waited for the services.
There is no peer to run beside it; the model's own speed is `bench.model`'s to measure.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

from bench.result import Figures, finish
from gateway.embedded import stack
from shared.settings import candor_home

SERVICES = ("retrieve", "generate", "trace")
CALLERS = 8
QUESTIONS = ("What is the largest organ of the human body?", "How are default arguments of a function evaluated?")


def main() -> None:
    """Start a stack of its own and measure it."""
    parser = argparse.ArgumentParser(prog="python -m bench.gateway", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under a minute once the stack has started")
    quick = parser.parse_args().quick
    requests = 20 if quick else 200
    with tempfile.TemporaryDirectory() as state, stack(candor_home(), state=Path(state)) as running:
        figures = measure(running.address, requests)
    finish("gateway", figures, {"requests": requests, "callers": CALLERS, "budget": 4, "samples": 1, "k": 2})


def measure(address: str, requests: int) -> Figures:
    """The fixed keys of this benchmark, from whole requests: retrieval, one short sample, trace."""
    with httpx.Client(base_url=address, timeout=120, trust_env=False) as client:
        _ask(client, 0)
        timings = [_ask(client, number) for number in range(requests)]
        started = time.perf_counter()
        with ThreadPoolExecutor(CALLERS) as pool:
            list(pool.map(lambda number: _ask(client, number), range(requests)))
        seconds = time.perf_counter() - started
    own = sorted(timing["total"] - sum(timing[stage] for stage in SERVICES) for timing in timings)
    return {
        "overhead_p50_ms": statistics.median(own),
        "overhead_p95_ms": own[int(0.95 * (len(own) - 1))],
        "total_p50_ms": statistics.median(timing["total"] for timing in timings),
        "requests_per_second": requests / seconds,
    }


def _ask(client: httpx.Client, number: int) -> dict[str, float]:
    body: dict[str, Any] = {
        "model": "candor",
        "messages": [{"role": "user", "content": QUESTIONS[number % len(QUESTIONS)]}],
        "seed": number,
        "candor": {"retrieval": {"k": 2}, "sampling": {"samples": 1, "budget": 4}, "strict": True},
    }
    answer = client.post("/v1/chat/completions", json=body).raise_for_status().json()
    timings: dict[str, float] = answer["candor"]["timings"]
    return timings


if __name__ == "__main__":
    main()
