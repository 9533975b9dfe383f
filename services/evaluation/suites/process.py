"""A program that answers an item: started, waited for, and killed with the run."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from services.evaluation.suites.base import BadAnswer

LAST_LINES = 12
_KEPT = 16_384
"""Bytes of what it said."""

_DIES_WITH_US = """
import ctypes, os, signal, sys
prctl = getattr(ctypes.CDLL(None), "prctl", None)
if prctl is not None:
    prctl(1, signal.SIGKILL)
os.execv(sys.argv[1], sys.argv[1:])
"""
"""Becomes the program, after asking Linux (PR_SET_PDEATHSIG) to kill it with its parent: a killed service's next life
asks the task again, and two of one would run."""


async def run_program(
    command: Sequence[str], name: str, *, folder: Path, environment: Mapping[str, str], seconds: float
) -> str:
    """The end of what the program says, errors too. Raises BadAnswer if it fails or takes too long.

    `folder` is where it works. Cancelled with the run, it is killed with all that it started.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _DIES_WITH_US,
        *command,
        cwd=folder,
        env=dict(environment),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        # a group of its own, so that its children can be ended with it
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(seconds):
            said = await _last_words(process)
            await process.wait()
    except TimeoutError as error:
        raise BadAnswer(f"{name} was not done after {seconds / 60:.0f} minutes") from error
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    text = said.decode(errors="replace")
    if process.returncode != 0:
        raise BadAnswer(f"{name} {_how(process.returncode)}{_last_lines(text)}")
    return text


def _how(code: int | None) -> str:
    """How a program ended that did not succeed; asyncio has signals as negative codes."""
    return f"was ended by signal {-code}" if code is not None and code < 0 else f"ended with {code}"


def _last_lines(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return ": " + "\n".join(lines[-LAST_LINES:]) if lines else " and said nothing"


async def _last_words(process: asyncio.subprocess.Process) -> bytes:
    """The end of what it says, to its end; of a task of days its progress bars are not kept."""
    assert process.stdout is not None
    said = b""
    while piece := await process.stdout.read(_KEPT):
        said = (said + piece)[-_KEPT:]
    return said
