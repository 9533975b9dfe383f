"""The package `leann`, in an environment of its own: it brings 140 packages, some in other versions than ours."""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.result import Figures
from bench.retrieval.measure import Set, quantiles

VERSION = "0.3.8"

_SCRIPT = Path(__file__).with_name("leann_script.py")


def environment(home: Path) -> Path:
    """The interpreter that has the package, which is installed the first time: 5 GB."""
    folder = home / "leann-venv"
    python = folder / "bin" / "python"
    if not next(folder.glob("lib/*/site-packages/leann-*.dist-info"), None):
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", f"leann=={VERSION}"], check=True)
    return python


class Peer:
    """The package over a set of vectors, in a folder beside the other indexes."""

    def __init__(self, over: Set, python: Path) -> None:
        self._over = over
        self._python = python
        self._folder = over.folder / f"leann-{VERSION}"

    def prepare(self, texts: list[str], asked: list[str], model: Path) -> None:
        """Write what the script needs, and build the index, unless that was done before.

        The model reads 512 tokens, as it did for the vectors: as published it reads 256, and would embed other vectors
        than those in the index.
        """
        if (self._folder / "build.json").exists():
            return
        copy = self._folder / "minilm"
        copy.mkdir(parents=True, exist_ok=True)
        for path in model.iterdir():
            target = copy / path.name
            if path.name == "sentence_bert_config.json":
                target.write_text(json.dumps({**json.loads(path.read_text()), "max_seq_length": 512}))
            elif not target.exists():
                target.symlink_to(path)
        np.save(self._folder / "vectors.npy", self._over.load())
        (self._folder / "texts.json").write_text(json.dumps(texts))
        (self._folder / "queries.json").write_text(json.dumps(asked))
        self._run(self._folder / "build.log")

    def search(self, best: NDArray[np.int64], complexity: int, count: int) -> Figures:
        """Figures of the first `count` queries at a search complexity; so few, as each takes seconds."""
        log = self._folder / f"complexity-{complexity}.log"
        lines = self._run(log, str(complexity), str(count)).splitlines()
        answers = [json.loads(line) for line in lines if line.startswith('{"rows"')]
        embedded = [
            sum(map(int, re.findall(r"Computed embeddings for (\d+) texts", part)))
            for part in log.read_text().split("QUERY\n")[1:]
        ]
        p50, p95 = quantiles([1000 * answer["wall"] for answer in answers])
        files = (self._folder / "index").iterdir()
        size = sum(path.stat().st_size for path in files if "passages.jsonl" not in path.name)
        recall = {
            f"recall_at_{k}": statistics.mean(
                len({*answer["rows"][:k]} & {*right[:k]}) / k
                for answer, right in zip(answers, best.tolist(), strict=False)
            )
            for k in (3, 10)
        }
        return {
            "passages": self._over.passages,
            "queries": len(answers),
            "bytes_per_passage": size / self._over.passages,
            "share_of_text": size / self._over.bytes,
            **json.loads((self._folder / "build.json").read_text()),
            **recall,
            "recomputed_at_10": statistics.mean(embedded),
            "cpu_ms": 1000 * statistics.mean(answer["cpu"] for answer in answers),
            "p50_ms": p50,
            "p95_ms": p95,
        }

    def _run(self, log: Path, *arguments: str) -> str:
        """What the script writes to stdout; to stderr it, and the server that it starts, write the log."""
        settings = {"LEANN_LOG_LEVEL": "INFO", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
        kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "OMP_NUM_THREADS")}
        command = [str(part) for part in (self._python, _SCRIPT, self._folder, *arguments)]
        with log.open("w") as errors:
            done = subprocess.run(
                command, env=kept | settings, stdout=subprocess.PIPE, stderr=errors, text=True, check=False
            )
        if done.returncode:
            sys.exit(f"leann {VERSION} failed: see {log}")
        return done.stdout
