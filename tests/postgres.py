"""A PostgreSQL server of a test's own, where its binaries are."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def postgres() -> Iterator[str]:
    """The address of a running server's database; skips the test where there is none."""
    found = shutil.which("initdb")
    if found is None:
        pytest.skip("no PostgreSQL here")
    # not below pytest's folder: PostgreSQL refuses to run as root, and no one else may look into that
    binaries, data = Path(found).resolve().parent, Path(tempfile.mkdtemp(prefix="candor-pg-"))
    user: list[str | Path] = ["setpriv", "--reuid=nobody", "--clear-groups"] if os.getuid() == 0 else []
    if user:
        shutil.chown(data, "nobody")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    try:
        subprocess.run(
            [*user, binaries / "initdb", "-D", data / "db", "-A", "trust", "-U", "candor"],
            check=True,
            capture_output=True,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"PostgreSQL cannot start here: {error}")
    control = [*user, binaries / "pg_ctl", "-D", data / "db", "-w"]
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories="
    subprocess.run([*control, "-o", options, "-l", data / "log", "start"], check=True, capture_output=True)
    try:
        yield f"postgresql://candor@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], check=True, capture_output=True)
        shutil.rmtree(data)
