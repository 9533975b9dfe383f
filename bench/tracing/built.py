"""What a build takes: CPU time of the process and all it starts, and their memory at its height."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench.tracing.protocol import ROOT

_EVERY = 0.05
"""Seconds between two looks at the memory."""

Took = dict[str, float]


def built(folder: Path, command: Sequence[str | Path], rest: Took) -> Took:
    """Run the command that fills a folder, unless it was done before; `build.json` beside the folder has what it took.

    `cpu_s`, `wall_s`; `memory_mb`, the largest sum of the processes' own memory, files that they map left out; `bytes`
    of the folder; and what `rest` says. Raises CalledProcessError.
    """
    record = folder.parent / f"{folder.name}.json"
    if not record.exists():
        took = _run(command)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        record.write_text(json.dumps({**took, "bytes": size, **rest}))
    found: Took = json.loads(record.read_text())
    return found


def emptied(folder: Path) -> Path:
    """The folder, with what a build that was stopped left in it removed."""
    if not (folder.parent / f"{folder.name}.json").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    return folder


def _run(command: Sequence[str | Path]) -> Took:
    words = [str(part) for part in command]
    began = time.perf_counter()
    process = subprocess.Popen(
        words, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=sys.stderr, start_new_session=True
    )
    most = 0
    while True:
        # what wait4 says of a process includes those it waited for, as both builds do for theirs
        done, status, usage = os.wait4(process.pid, os.WNOHANG)
        if done:
            break
        most = max(most, _memory(process.pid))
        time.sleep(_EVERY)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, words)
    return {"cpu_s": usage.ru_utime + usage.ru_stime, "wall_s": wall, "memory_mb": most / 1024}


def _memory(session: int) -> int:
    """Kilobytes of anonymous memory of all processes of a session."""
    total = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if int(folder.joinpath("stat").read_text().rpartition(")")[2].split()[3]) == session:
                lines = folder.joinpath("status").read_text().splitlines()
                total += sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))
        except (OSError, ValueError):
            continue  # it ended meanwhile
    return total
