"""Two processes that speak JSON lines: one asks, the other answers and measures itself.

Imported in the peer's environment too, so nothing but the standard library is imported here.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path
from types import TracebackType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
EOS = 0
"""An id that no text has: the peer says it where a document ends."""


class WorkerFailed(RuntimeError):
    """The process ended, or answered with an error. The message is what it said."""


class Worker:
    """A process that answers, as long as the `with` lasts."""

    def __init__(self, command: Sequence[str | Path]) -> None:
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(
            [str(part) for part in command],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, operation: str, **arguments: object) -> Any:
        """The answer. Raises WorkerFailed."""
        assert self._process.stdin
        assert self._process.stdout
        try:
            self._process.stdin.write(json.dumps([operation, arguments]) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # the line that is not there says so
        line = self._process.stdout.readline()
        if not line:
            raise WorkerFailed(f"{operation}: the process ended with {self._process.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            raise WorkerFailed(f"{operation}: {answer['error']}")
        return answer["is"]

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()


def serve(operations: Mapping[str, Callable[..., object]]) -> None:
    """Answer until there are no more questions. What the operations print goes to stderr."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        operation, arguments = json.loads(line)
        try:
            answer: dict[str, object] = {"is": operations[operation](**arguments)}
        except Exception as error:  # whatever it is, it is the asker's to report
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


def timed(function: Callable[..., Any], *arguments: object) -> tuple[Any, dict[str, float]]:
    """The result; milliseconds of `wall`, and of `cpu` of all threads of this process; how often it had to wait for the
    disk (`faults`), and the bytes `read` from it."""
    faults, read = _from_disk()
    cpu, wall = time.process_time(), time.perf_counter()
    result = function(*arguments)
    took = {"wall": 1000 * (time.perf_counter() - wall), "cpu": 1000 * (time.process_time() - cpu)}
    faults_after, read_after = _from_disk()
    return result, took | {"faults": faults_after - faults, "read": read_after - read}


def each_timed(function: Callable[[Any], Any], arguments: Sequence[Any], repeats: int) -> tuple[list[Any], list[float]]:
    """The result for each argument, and milliseconds of wall for one of so many calls in a row: one alone is too short
    for the clock, and the first finds the machine's caches cold."""
    results, walls = [], []
    for argument in arguments:
        results.append(function(argument))
        began = time.perf_counter()
        for _ in range(repeats):
            function(argument)
        walls.append(1000 * (time.perf_counter() - began) / repeats)
    return results, walls


def together(function: Callable[[Any], Any], arguments: Sequence[Any], threads: int, calls: int) -> dict[str, Any]:
    """Milliseconds of each of so many calls, made by so many threads of this process, and `seconds` for all of them."""

    def one(argument: Any) -> float:
        began = time.perf_counter()
        function(argument)
        return 1000 * (time.perf_counter() - began)

    with ThreadPoolExecutor(threads) as pool:
        began = time.perf_counter()
        walls = list(pool.map(one, islice(cycle(arguments), calls)))
        return {"walls": walls, "seconds": time.perf_counter() - began}


def _from_disk() -> tuple[int, int]:
    lines = Path("/proc/self/io").read_text().splitlines()
    (read,) = (int(line.split()[1]) for line in lines if line.startswith("read_bytes:"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_majflt, read
