"""Files that appear whole or not at all, and folders in which one process works at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write(file: Path, content: str) -> None:
    """Write a text in place of what is there."""
    part = file.with_name(f"{file.name}.part")
    part.write_text(content, encoding="utf-8")
    os.replace(part, file)


@contextmanager
def alone(file: Path) -> Iterator[None]:
    """One process at a time; the lock ends with its holder, however that ends."""
    with file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
