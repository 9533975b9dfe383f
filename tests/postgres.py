"""A PostgreSQL of the test's own, where its binaries are."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


class Postgres:
    """One cluster, in a folder of its own on a port of loopback."""

    def __init__(self, binaries: Path, folder: Path, port: int) -> None:
        # PostgreSQL refuses to run as root
        user = ["setpriv", "--reuid=nobody", "--clear-groups"] if os.getuid() == 0 else []
        self._data, self._log, self._port = folder / "db", folder / "log", port
        self._initialise = [*user, str(binaries / "initdb"), "-D", str(self._data), "-A", "trust", "-U", "candor"]
        self._control = [*user, str(binaries / "pg_ctl"), "-D", str(self._data), "-w"]
        self.url = f"postgresql://candor@127.0.0.1:{port}/postgres"

    def initialise(self) -> None:
        """Make the cluster. Raises OSError or CalledProcessError where this machine does not let it."""
        subprocess.run(self._initialise, check=True, capture_output=True)

    def start(self) -> None:
        """Start the server, which recovers first if it was killed."""
        options = f"-p {self._port} -c listen_addresses=127.0.0.1 -c unix_socket_directories="
        subprocess.run([*self._control, "-o", options, "-l", str(self._log), "start"], check=True, capture_output=True)

    def stop(self) -> None:
        """Stop the server if it runs."""
        subprocess.run([*self._control, "-m", "immediate", "stop"], check=False, capture_output=True)

    def kill(self) -> None:
        """kill -9 of the server; its processes for clients end with it."""
        postmaster = int((self._data / "postmaster.pid").read_text().split("\n", 1)[0])
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        for process in (postmaster, *map(int, children)):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        (self._data / "postmaster.pid").unlink()


@contextmanager
def postgres() -> Iterator[Postgres]:
    """A server that runs; skips the test where there is none."""
    found = shutil.which("initdb")
    if found is None:
        pytest.skip("no PostgreSQL here")
    # not below pytest's folder: the user that it runs as may not look into that
    folder = Path(tempfile.mkdtemp(prefix="candor-pg-"))
    if os.getuid() == 0:
        shutil.chown(folder, "nobody")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        server = Postgres(Path(found).resolve().parent, folder, free.getsockname()[1])
    try:
        server.initialise()
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"PostgreSQL cannot start here: {error}")
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)
