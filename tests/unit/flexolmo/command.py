"""The `candor` command in a process that is not forked from the tests.

By then torch and tokenizers have threads, whose locks a forked child may wait for without end. A fork server has
none: it only imported what the command needs, which is most of what a process of its own would cost.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from multiprocessing.context import ForkServerContext
from pathlib import Path

SECONDS = 120
"""How long a test waits for a command before it fails; pytest gives the whole test 300."""


class Command:
    """A running `candor`; what it says, on both streams, is in ``log``."""

    def __init__(self, arguments: list[str], environment: dict[str, str], log: Path) -> None:
        self.log = log
        log.touch()
        self.process = _server().Process(target=run, args=(arguments, environment, log))
        self.process.start()

    def until(self, words: str) -> None:
        """Wait until it has said these words."""
        end = time.monotonic() + SECONDS
        while words not in self.log.read_text():
            assert self.process.is_alive(), self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.005)

    def kill(self) -> int | None:
        """End it with SIGKILL, if it still runs; returns its exit code, the negative of a signal that ended it."""
        self.process.kill()
        self.process.join(SECONDS)
        return self.process.exitcode

    def finish(self) -> str:
        """Wait for its end, which must be a good one; returns what it said."""
        self.process.join(SECONDS)
        assert self.process.exitcode == 0, self.log.read_text()
        return self.log.read_text()


def run(arguments: list[str], environment: dict[str, str], log: Path) -> None:
    """The whole of the process: the command line, in this environment, on this file."""
    from gateway.cli import main

    os.environ.update(environment)
    with log.open("w") as file:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(file.fileno(), stream.fileno())
    sys.argv = ["candor", *arguments]
    main()


def _server() -> ForkServerContext:
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(["gateway.cli.training", "accelerate"])
    return server
