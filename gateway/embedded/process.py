"""One service's process: started, watched, told to stop, its log at hand."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from gateway.embedded.faults import ServiceDied
from gateway.embedded.sockets import bind, url

TAIL_LINES = 15


class Process:
    """A service in a process of its own. The port is taken at once; nothing runs before `start`."""

    def __init__(self, service: str, host: str, port: int, log: Path) -> None:
        self.service, self.log, self.host = service, log, host
        self._socket = bind(host, port)
        self.port: int = self._socket.getsockname()[1]
        self.url = url(self._socket)
        self._child: subprocess.Popen[bytes] | None = None

    def start(self, environment: Mapping[str, str]) -> None:
        """Start the process, its output appended to the log."""
        if self._socket.fileno() == -1:  # a start after a death
            self._socket = bind(self.host, self.port)
        descriptor = self._socket.fileno()
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "gateway.embedded.child", self.service, str(descriptor)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[descriptor],
                env=dict(environment),
                start_new_session=True,  # Ctrl-C is the parent's alone, which stops its children in order
            )
        # with the parent's copy open, calls to a dead service would wait in a queue that nobody serves
        self._socket.close()

    @property
    def pid(self) -> int | None:
        """The process's id; None before the start."""
        return self._child.pid if self._child else None

    def alive(self) -> bool:
        """Whether the process runs."""
        return self._child is not None and self._child.poll() is None

    def death(self) -> ServiceDied:
        """How the process ended, with the end of its log."""
        code = self._child.returncode if self._child else None
        how = f"was ended by signal {-code}" if code is not None and code < 0 else f"ended with exit code {code}"
        return self.fault(how)

    def fault(self, what: str) -> ServiceDied:
        """That something is wrong with the service, with the end of its log."""
        return ServiceDied(self.service, what, str(self.log), self.tail())

    def tail(self) -> str:
        """The last lines of the log."""
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-TAIL_LINES:])

    def terminate(self) -> None:
        """Ask the process to stop."""
        self._socket.close()
        if self._child is not None and self.alive():
            self._child.terminate()

    def end(self, seconds: float) -> None:
        """Wait so long for the process to stop, then kill it."""
        if self._child is None:
            return
        try:
            self._child.wait(seconds)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        if self._child.stdin is not None:
            self._child.stdin.close()
