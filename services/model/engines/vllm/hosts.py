"""Where the vLLM host comes from: a process of the service's own, or one that runs elsewhere."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from asyncio import StreamReader, StreamWriter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from services.model.engines.base import EngineFailed
from services.model.engines.vllm.messages import MAX_LINE

_RETRY_SECONDS = 0.2
_GRACE_SECONDS = 15
_LOOKS = 25
"""How long the host may take to end once it was told to."""


class Host(Protocol):
    """A way to a host. `restarts`: how often in ten minutes a connection that was lost may be made again. `phase`: what
    a service is doing that has not had one yet."""

    restarts: int | None
    phase: str

    async def open(self) -> tuple[StreamReader, StreamWriter]:
        """Connect, however long it takes to start. Raises EngineFailed when it will not."""
        ...

    def lost(self) -> str:
        """Why the connection ended, as far as is known."""
        ...

    def close(self) -> None:
        """Stop what `open` started."""
        ...


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start a host. `python`: the interpreter of the environment with vLLM and the plugin.

    `length`: tokens of prompt and answer, if fewer than the model's own. `threads`: of vLLM on a CPU, if not its own
    choice. `arguments`: vLLM's own engine arguments.
    """

    python: Path
    directory: Path
    dtype: str
    batch: int
    length: int | None = None
    threads: int | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)


class OwnHost:
    """A host as a child process, on a Unix socket that only this user can open.

    It reads a pipe that only we hold open: when we go, however we go, so does it.
    """

    restarts: int | None = 3
    phase = "starting the vLLM host"

    def __init__(self, launch: Launch) -> None:
        self._launch = launch
        self._folder = Path(tempfile.mkdtemp(prefix="candor-vllm-"))
        self._socket = self._folder / "host"
        self._process: subprocess.Popen[bytes] | None = None

    async def open(self) -> tuple[StreamReader, StreamWriter]:
        """Start the process and connect when it listens. Raises EngineFailed when it ends before."""
        await asyncio.to_thread(self._end)
        self._socket.unlink(missing_ok=True)
        process = self._process = self._start()
        while process.poll() is None:
            try:
                return await asyncio.open_unix_connection(str(self._socket), limit=MAX_LINE)
            except OSError:
                await asyncio.sleep(_RETRY_SECONDS)
        raise EngineFailed(f"{self.lost()} before it could serve; its output in the service's log says why")

    def lost(self) -> str:
        """How the process ended."""
        if self._process is None:
            return "the vLLM host was never started"
        try:
            code = self._process.wait(_RETRY_SECONDS)
        except subprocess.TimeoutExpired:
            return "the vLLM host closed its connection"
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return f"the vLLM host {how}"

    def close(self) -> None:
        """Stop the process and those that it started; blocks until they are gone."""
        self._end()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self) -> subprocess.Popen[bytes]:
        launch = self._launch
        command = [str(launch.python), "-m", "candor_vllm.host", "--with-parent"]
        command += ["--model", str(launch.directory), "--listen", f"unix:{self._socket}"]
        command += ["--dtype", launch.dtype, "--max-batch", str(launch.batch)]
        if launch.length:
            command += ["--max-length", str(launch.length)]
        if launch.arguments:
            command += ["--vllm", json.dumps(dict(launch.arguments))]
        threads = {}
        if launch.threads:
            # unless told not to bind threads to cores, vLLM takes every core
            threads = {"OMP_NUM_THREADS": str(launch.threads), "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
        try:
            # a session of its own: Ctrl-C is ours alone, and vLLM's processes can be told from others
            return subprocess.Popen(
                command, stdin=subprocess.PIPE, env={**os.environ, **threads}, start_new_session=True
            )
        except OSError as error:
            raise EngineFailed(f"cannot start {launch.python}: {error}; set CANDOR_MODEL_VLLM_PYTHON") from error

    def _end(self) -> None:
        process = self._process
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_SECONDS)
        # what is left of its session, also when it could not see to that itself
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            # those it started are not our children, so that they can only be looked for
            for _ in range(_LOOKS):
                os.killpg(process.pid, 0)
                time.sleep(_RETRY_SECONDS)
        process.wait()
        self._process = None


class RemoteHost:
    """A host that somebody else runs, at unix:PATH or tcp:HOST:PORT."""

    restarts: int | None = None

    def __init__(self, address: str) -> None:
        """Raises ValueError for an address of another form."""
        kind, _, self._where = address.partition(":")
        self._unix = kind == "unix"
        name, _, port = self._where.rpartition(":")
        if not self._where or kind not in ("unix", "tcp") or (kind == "tcp" and not (name and port.isdecimal())):
            raise ValueError(f"CANDOR_MODEL_VLLM_ADDRESS is unix:PATH or tcp:HOST:PORT, not {address!r}")
        self._address = address
        self.phase = f"waiting for the vLLM host at {address}"

    async def open(self) -> tuple[StreamReader, StreamWriter]:
        """Connect, as soon as it listens."""
        while True:
            try:
                if self._unix:
                    return await asyncio.open_unix_connection(self._where, limit=MAX_LINE)
                name, _, port = self._where.rpartition(":")
                return await asyncio.open_connection(name.strip("[]"), int(port), limit=MAX_LINE)
            except OSError:
                await asyncio.sleep(5 * _RETRY_SECONDS)

    def lost(self) -> str:
        """That it is gone."""
        return f"the vLLM host at {self._address} closed its connection"

    def close(self) -> None:
        """Nothing was started."""
