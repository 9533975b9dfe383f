"""The `candor` command, as a user runs it."""

from __future__ import annotations

import os
import subprocess
import sys


def candor(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Against the stack at this address, on a terminal of 160 columns."""
    return subprocess.run(
        [sys.executable, "-m", "gateway.cli", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "CANDOR_URL": url, "COLUMNS": "160"},
        check=False,
    )
