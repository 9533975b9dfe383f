"""A model service at saturation for half an hour: random masks, a tenth of the requests abandoned, experts that come
and go. No wrong answer (a hundredth is asked again alone), no stuck request, no expert under a mask that leaves it
out, no growth of memory.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import httpx
import numpy as np
from numpy.typing import NDArray

from bench.result import Figures, finish
from bench.soak_requests import Answer, Maker, Part, Refused, Request, ask
from shared.settings import candor_home

EXPERTS = ("papers", "medicine", "python")
COMES_AND_GOES = "medicine"
FILE = Path(__file__).parents[1] / "services" / "model" / "experts" / f"{COMES_AND_GOES}.safetensors"
STUCK_SECONDS = 300.0
ABANDONED, COMPARED, LEAST_COMPARED = 0.1, 0.01, 10
TOLERANCE = 0.02
"""Nats. A batch's products are summed in another order than one sequence's alone; another mask is off by far more."""


LEAST_MINUTES, GROWTH = 10, 5.0
"""In a run of so many minutes the least memory of each may not grow by more megabytes a minute, caches being full."""


@dataclass
class Tally:
    """What happened."""

    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    kept: list[tuple[Request, Answer]] = field(default_factory=list)
    memory: list[tuple[float, float]] = field(default_factory=list)
    """(seconds since the start, resident megabytes)."""


def main() -> None:
    """Soak, compare, report; exit code 1 when anything is wrong."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--callers", type=int, default=24, help="requests under way at a time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dtype", default="float32", help="what the service computes in")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as state, _service(Path(state), given.dtype) as (address, process):
        tally = asyncio.run(_soak(address, process, given.minutes * 60, given.callers, given.seed))
    for fault in tally.faults[:20]:
        print(fault, file=sys.stderr)
    figures = _figures(tally)
    finish("soak", figures, vars(given))
    sys.exit(_wrong(figures, given.minutes))


def _wrong(figures: Figures, minutes: float) -> bool:
    """Whether anything is: a short run says nothing of memory, which first fills the caches."""
    grown = minutes >= LEAST_MINUTES and (figures["resident_megabytes_per_minute"] or 0) > GROWTH
    counted = any(figures[name] for name in ("stuck", "mask_faults", "errors", "different"))
    return bool(counted or grown or not figures["compared"] or not figures["alive_at_the_end"])


@contextmanager
def _service(state: Path, dtype: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {"CANDOR_MODEL_EXPERTS": str(state / "experts"), "CANDOR_MODEL_DTYPE": dtype}
    command = [sys.executable, "-m", "gateway.cli", "serve", "model", "--port", str(port), "--grace", "1"]
    with (state / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        while True:
            with suppress(httpx.HTTPError):
                if httpx.get(f"{address}/readyz", timeout=5).status_code == 200:
                    break
            if process.poll() is not None:
                raise RuntimeError((state / "log").read_text())
            time.sleep(0.5)
        yield address, process
    finally:
        if process.poll() is not None:
            print(
                f"the service ended with {process.returncode}:\n{(state / 'log').read_text()[-3000:]}", file=sys.stderr
            )
        process.terminate()
        process.wait(60)


async def _soak(address: str, process: subprocess.Popen[bytes], seconds: float, callers: int, seed: int) -> Tally:
    tally, started = Tally(), time.monotonic()
    # none kept: on a busy machine the service may close an idle one in the moment in which it is used again
    limits = httpx.Limits(max_connections=callers + 8, max_keepalive_connections=0)
    async with httpx.AsyncClient(base_url=address, timeout=STUCK_SECONDS, limits=limits, trust_env=False) as client:
        until = started + seconds
        maker = Maker(candor_home(), EXPERTS, seed)
        watch = asyncio.create_task(_watch(process, started, tally))
        await asyncio.gather(
            *(_caller(client, maker, Random(seed + number), until, tally) for number in range(callers)),
            _come_and_go(client, until, tally),
        )
        watch.cancel()
        tally.counts["seconds"] = round(time.monotonic() - started)
        for request, answer in tally.kept:
            _compare(request, answer, await ask(client, request), tally)
        tally.counts["alive_at_the_end"] = process.poll() is None
    return tally


async def _caller(client: httpx.AsyncClient, maker: Maker, random: Random, until: float, tally: Tally) -> None:
    while time.monotonic() < until:
        request = maker.request()
        abandoned = random.random() < ABANDONED
        patience = random.uniform(0, 3) if abandoned else STUCK_SECONDS
        try:
            answer = await asyncio.wait_for(ask(client, request), patience)
        except TimeoutError:
            tally.counts["abandoned" if abandoned else "stuck"] += 1
        except httpx.TimeoutException:
            tally.counts["stuck"] += 1
        except Refused as error:
            await _refused(error, request, random, tally)
        except httpx.HTTPError as error:
            tally.counts["errors"] += 1
            tally.faults.append(f"{request.path}: {error!r}")
        else:
            tally.counts["answered"] += 1
            tally.counts["tokens"] += sum(len(part.logprobs) for part in answer.parts)
            faults = answer.faults(request)
            tally.counts["mask_faults"] += len(faults)
            tally.faults += faults
            if random.random() < COMPARED or len(tally.kept) < LEAST_COMPARED:
                tally.kept.append((request, answer))


async def _refused(error: Refused, request: Request, random: Random, tally: Tally) -> None:
    if error.code == "overloaded":
        tally.counts["refused_when_full"] += 1
        await asyncio.sleep(random.uniform(0.5, 2))
    elif error.code == "unknown_expert" and COMES_AND_GOES in request.experts:
        tally.counts["refused_expert_removed"] += 1
    else:
        tally.counts["errors"] += 1
        tally.faults.append(f"{request.path}: {error}")


async def _come_and_go(client: httpx.AsyncClient, until: float, tally: Tally) -> None:
    """An expert leaves and returns; it is there at the end, for the comparison."""
    path = f"/v1/experts/{COMES_AND_GOES}"
    while (left := until - time.monotonic()) > 0:
        await asyncio.sleep(min(20, left / 2))
        gone = await client.delete(path)
        await asyncio.sleep(min(5, left / 4))
        back = await client.put(path, content=FILE.read_bytes())
        if (gone.status_code, back.status_code) != (204, 201):
            tally.counts["errors"] += 1
            tally.faults.append(f"DELETE {gone.status_code} {gone.text}, PUT {back.status_code} {back.text}")
        tally.counts["removed_and_added"] += 1
        if left < 1:
            return


async def _watch(process: subprocess.Popen[bytes], started: float, tally: Tally) -> None:
    while process.poll() is None:
        tally.memory.append((time.monotonic() - started, _resident(process.pid)))
        await asyncio.sleep(1)


def _resident(pid: int) -> float:
    """Megabytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def _compare(request: Request, first: Answer, alone: Answer, tally: Tally) -> None:
    """Whether an answer from the crowd is the one that the same request gets alone."""
    pairs = list(zip(first.parts, alone.parts, strict=True))
    tally.counts["compared"] += 1
    tally.counts["same_text"] += all(one.text == other.text for one, other in pairs)
    far = [pair for pair in pairs if _apart(*pair)]
    if far:
        tally.counts["different"] += 1
        tally.faults.append(f"{request} got {far[0][0]}, alone {far[0][1]}")


def _apart(one: Part, other: Part) -> bool:
    """Whether two samples differ by more than rounding: in their distributions, for as long as their tokens agree.

    The mean log-probability over the vocabulary belongs to the distribution, not to the token drawn from it, so that
    it also speaks of the token at which two samples part because two candidates lay within the rounding.
    """
    steps = zip(one.means, other.means, one.logprobs, other.logprobs, strict=False)
    for mean, other_mean, logprob, other_logprob in steps:
        if abs(mean - other_mean) > TOLERANCE:
            return True
        if abs(logprob - other_logprob) > TOLERANCE:
            return False
    return one.text == other.text and len(one.means) != len(other.means)


def _figures(tally: Tally) -> Figures:
    counts = tally.counts
    # the first third fills the caches
    seconds, resident = np.array(tally.memory[len(tally.memory) // 3 :]).T
    floors = _floors(seconds, resident)
    names = ("answered", "abandoned", "refused_when_full", "refused_expert_removed", "removed_and_added")
    return {
        **{name: counts[name] for name in names},
        "tokens_per_second": counts["tokens"] / max(1, counts["seconds"]),
        "compared": counts["compared"],
        "same_text": counts["same_text"],
        "different": counts["different"],
        "mask_faults": counts["mask_faults"],
        "stuck": counts["stuck"],
        "errors": counts["errors"],
        "alive_at_the_end": bool(counts["alive_at_the_end"]),
        "resident_megabytes_least_first_minute": float(floors[0]),
        "resident_megabytes_least_last_minute": float(floors[-1]),
        "resident_megabytes_most": float(resident.max()),
        "resident_megabytes_per_minute": _slope(floors),
    }


def _slope(floors: list[float]) -> float | None:
    """Megabytes a minute; None of a run too short to say."""
    return float(np.polyfit(np.arange(len(floors)), floors, 1)[0]) if len(floors) > 1 else None


def _floors(seconds: NDArray[np.float64], resident: NDArray[np.float64]) -> list[float]:
    """The least of each whole minute: a batch takes hundreds of megabytes for moments, a leak never gives back."""
    minute = ((seconds - seconds[0]) // 60).astype(int)
    whole = np.unique(minute)[:-1] if minute[-1] else np.unique(minute)
    return [float(resident[minute == number].min()) for number in whole]


if __name__ == "__main__":
    main()
