"""Where synthesised pairs go: a line a task, so that a run that was killed goes on."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

MADE, DROPPED = "pairs.jsonl", "dropped.jsonl"


class Store:
    """A folder with the pairs made, which `train` reads, and what was dropped and why. One process writes to it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.made: set[str] = set()
        self.dropped: Counter[str] = Counter()
        """By reason."""
        self._files: dict[str, BinaryIO] = {}
        self.done: set[str] = set()
        for name in (MADE, DROPPED):
            file = self._files[name] = (folder / name).open("a+b")
            for row in _whole_lines(file):
                self._count(name, row)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._files.values():
            file.close()

    def keep(self, row: dict[str, Any]) -> None:
        """Add a pair; `task` names what it was made for."""
        self._write(MADE, row)

    def drop(self, row: dict[str, Any]) -> None:
        """Note a task that came to nothing, for the `reason` given."""
        self._write(DROPPED, row)

    def _write(self, name: str, row: dict[str, Any]) -> None:
        file = self._files[name]
        file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
        self._count(name, row)

    def _count(self, name: str, row: dict[str, Any]) -> None:
        self.done.add(row["task"])
        if name == MADE:
            self.made.add(row["task"])
        else:
            self.dropped[row["reason"]] += 1


def _whole_lines(file: BinaryIO) -> list[dict[str, Any]]:
    """The lines of a file, which is cut behind the last whole one: a kill leaves half a line."""
    file.seek(0)
    whole, end, _ = file.read().rpartition(b"\n")
    file.truncate(len(whole) + len(end))
    return [json.loads(line) for line in whole.split(b"\n") if line]
