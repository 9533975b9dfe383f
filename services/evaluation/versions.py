"""Which code a run was made with."""

from __future__ import annotations

import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]


@cache
def code_version() -> str:
    """The git commit, with `-dirty` if the tree was changed since; outside a checkout the package's version."""
    if (_ROOT / ".git").exists():
        command = ["git", "-C", str(_ROOT), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
        try:
            described = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
        except (OSError, subprocess.SubprocessError):
            return version("candor")
        return described.stdout.strip()
    return version("candor")
