"""The package `infini-gram`, in an environment of its own: its files for the same tokens, its sorting, its engine.

Its indexer tokenises and then sorts. Here the files that tokenising makes are written from the tokens there are, and
its own command finds them and goes on with sorting: documents with the separator 0xFFFF before each (`tokenized`),
where each begins in bytes (`offset`), a line of metadata for each (`metadata`, `metaoff`), counts of ids (`unigram`).
"""

from __future__ import annotations

import json
import resource
import subprocess
import venv
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from bench.tracing.protocol import Worker
from bench.tracing.rules import Ids, Rules
from shared.settings import cores

VERSION = "2.6.0"
MEMORY = 8
"""GiB that its indexer is allowed, which is more than it takes here."""
OVERLAP = 100_000
THREADS = 512
"""Positions of a text looked at at once, each in a thread and a thread more a shard: the package's default. With more
shards fewer positions are, so that there are no more threads than with one."""

_SEPARATOR = np.array([0xFFFF], dtype=np.uint16)
_WORDS = "words.txt"


def environment(home: Path) -> Path:
    """The interpreter that has the package, with numpy, which it does not declare, installed the first time.

    Its wheels are for Python 3.11 and 3.13 on x86-64 Linux. Tokenising would need transformers too.
    """
    folder = home / "infini-gram-venv"
    python = folder / "bin" / "python"
    if not next(folder.glob("lib/*/site-packages/infini_gram-*.dist-info"), None):
        venv.create(folder, with_pip=True)
        wanted = (f"infini-gram=={VERSION}", "numpy")
        subprocess.run([python, "-m", "pip", "install", "--quiet", *wanted], check=True)
    return python


def write(folder: Path, documents: Iterable[Ids], shards: Sequence[int]) -> None:
    """The files of so many documents in each shard, without the suffix arrays."""
    stream = iter(documents)
    for number, count in enumerate(shards):
        _shard(folder, number, islice(stream, count))


def indexing(python: Path, folder: Path, shards: int) -> list[str | Path]:
    """The command that sorts what is there, with a job a core, as is the package's default.

    Each job reads OVERLAP bytes into the next one's part: where that is all of it, it writes positions twice.
    """
    limit = min(20_000, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    smallest = min(path.stat().st_size for path in folder.glob("tokenized.*"))
    return [
        *(python, "-m", "infini_gram.indexing", "--data_dir", folder, "--save_dir", folder, "--version", "4"),
        *("--token_dtype", "u16", "--shards", str(shards), "--mem", str(MEMORY), "--ulimit", str(limit)),
        *("--cpus", str(cores() if smallest > 2 * cores() * OVERLAP else 1)),
    ]


class Peer:
    """The engine in a process of its own, to be opened."""

    def __init__(self, python: Path, place: Path, by: Rules) -> None:
        self._python = python
        self._words = place / _WORDS
        self._words.write_text("".join(f"{identity}\n" for identity in np.flatnonzero(by.words)))
        self._delimiters = np.flatnonzero(by.delimiters).tolist()

    def process(self) -> Worker:
        """A process that has no index open yet."""
        return Worker([self._python, "-m", "bench.tracing.peer_script"])

    def open(self, worker: Worker, folder: Path, shards: int, *, prefetch: bool = False) -> None:
        """Open an index in it. Upstream prefetches nothing for attribution: it is slower where all is in memory."""
        block = max(1, 2 * THREADS // (1 + shards))
        worker.ask(
            "open",
            folder=str(folder),
            words=str(self._words),
            delimiters=self._delimiters,
            depth=int(prefetch),
            block=block,
        )


def _shard(folder: Path, number: int, documents: Iterator[Ids]) -> None:
    offsets, lines, at, line_at = [], [], [], 0
    counts = np.zeros(1 << 16, dtype=np.int64)
    size = 0
    with (folder / f"tokenized.{number}").open("wb") as file:
        for place, ids in enumerate(documents):
            offsets.append(size)
            whole = np.concatenate((_SEPARATOR, ids.astype(np.uint16)))
            counts += np.bincount(whole, minlength=1 << 16)
            size += file.write(whole.tobytes())
            line = json.dumps({"path": "documents.jsonl", "linenum": place, "metadata": {"id": f"{number}-{place}"}})
            at.append(line_at)
            lines.append(line + "\n")
            line_at += len(lines[-1])
    (folder / f"offset.{number}").write_bytes(np.array(offsets, dtype=np.uint64).tobytes())
    (folder / f"metadata.{number}").write_text("".join(lines))
    (folder / f"metaoff.{number}").write_bytes(np.array(at, dtype=np.uint64).tobytes())
    there = np.flatnonzero(counts)
    (folder / f"unigram.{number}").write_text("".join(f"{token} {counts[token]}\n" for token in there.tolist()))
