"""A real datastore of a million passages: how long it takes to open, and what filters find in it.

The passages are windows of 60 words of the bench's texts with wordllama's vectors, written by the datastore's own
writers into CANDOR_HOME/bench/million the first time, which takes some minutes. It is opened in a process of its own,
with the system's cache emptied where that is allowed, and again with it full.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from bench.result import Figures, finish
from bench.retrieval.vectors import MILLION, million, million_texts
from services.retrieval.compactds.ann import FLAT_BELOW
from services.retrieval.datastore import coding, manifest
from services.retrieval.datastore.catalogue import open_datastores
from services.retrieval.datastore.documents import Document
from services.retrieval.datastore.manifest import EncoderStamp, Manifest
from services.retrieval.datastore.segment import VECTORS, write_texts, write_vectors
from services.retrieval.encoders.base import Card
from services.retrieval.filters import parse
from services.retrieval.search import Effort, Options, search
from shared.settings import candor_home

CARD = Card("wordllama", Path(), revision="bench", dimension=256, max_tokens=512)
SHARES = (0.1, 0.01, 0.001)
QUERIES = 100


class Given:
    """An encoder that has the vectors of its queries already."""

    card = CARD

    def __init__(self, vectors: np.ndarray) -> None:
        self.vectors = vectors

    def encode(self, texts: list[str], progress: object = None) -> np.ndarray:  # noqa: ARG002
        """The vector whose number each text is."""
        return self.vectors[[int(text) for text in texts]]

    def encode_queries(self, texts: list[str]) -> np.ndarray:
        """The same: a query has no instruction here."""
        return self.encode(texts)


def main() -> None:
    """Measure, print, write bench/results/retrieval_million.json."""
    parser = argparse.ArgumentParser(prog="python -m bench.retrieval.million", description=__doc__)
    parser.add_argument("--open", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.open:
        print(json.dumps(_opened(arguments.open)))
        return
    folder = _made(candor_home())
    figures: Figures = {}
    for state in ("cold", "warm"):
        if state == "cold" and not _forget():
            continue
        run = subprocess.run(
            [sys.executable, "-m", "bench.retrieval.million", "--open", str(folder)],
            check=True,
            capture_output=True,
            text=True,
        )
        figures |= {f"{state}_{name}": value for name, value in json.loads(run.stdout).items()}
    figures |= _filtered(folder)
    finish("retrieval_million", figures, {"passages": MILLION, "queries": QUERIES})


def _opened(folder: Path) -> Figures:
    started = time.perf_counter()
    (store,) = open_datastores(folder, CARD)
    opened = time.perf_counter() - started
    options = Options("compactds", 10, 100)
    queries = Given(np.load(folder / "queries.npy"))
    search(store.segments, queries, ["0"], options, Effort())  # type: ignore[arg-type]
    first = time.perf_counter() - started
    return {
        "open_s": opened,
        "first_answer_s": first,
        "memory_mb": _peak_kb() / 1024,
    }


def _peak_kb() -> int:
    # getrusage would say that of the process this one was forked from, if that was more
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def _filtered(folder: Path) -> Figures:
    """Recall against all scores, and CPU time, with a share of the passages allowed."""
    (store,) = open_datastores(folder, CARD)
    (segment,) = store.segments
    queries = np.load(folder / "queries.npy")
    encoder = Given(queries)
    vectors = np.load(segment.folder / VECTORS, mmap_mode="r")
    figures: Figures = {}
    for share in (1.0, *SHARES):
        wanted = parse({"metadata.part": {"lt": share}})
        allowed = np.flatnonzero(segment.passing(wanted))
        scores = np.concatenate([vectors[rows].astype(np.float32) @ queries.T for rows in np.array_split(allowed, 40)])
        best = [set(allowed[np.argpartition(-column, 10)[:10]].tolist()) for column in scores.T]
        for index in ("compactds", "bm25"):
            hits, spent = [], []
            for number in range(QUERIES):
                options = Options(index, 10, 100, filter=wanted if share < 1 else None)
                asked = [str(number)] if index == "compactds" else [segment.passages.text(number * 997)]
                started = time.process_time()
                (found,) = search(store.segments, encoder, asked, options, Effort())  # type: ignore[arg-type]
                spent.append(time.process_time() - started)
                hits.append(len({_row(each.passage.document) for each in found} & best[number]) / 10)
            if index == "compactds":
                figures[f"compactds_recall_at_10_of_{share:g}"] = float(np.mean(hits))
            figures[f"{index}_cpu_ms_of_{share:g}"] = 1000 * float(np.median(spent))
    return figures


def _row(document: str) -> int:
    return int(document)


def _made(home: Path) -> Path:
    folder = home / "bench" / "million"
    place = folder / "main" / "public" / "windows"
    if (place / manifest.NAME).exists():
        return folder
    path, _ = million(home)
    vectors = np.load(path, mmap_mode="r")
    texts = million_texts(home)
    draw = random.Random(1)
    documents = [
        Document(f"{number:07}", text, "", "windows", "various", metadata={"part": draw.random()})
        for number, text in enumerate(texts)
    ]
    place.mkdir(parents=True)
    write_texts(place, documents)
    write_vectors(place, np.asarray(vectors), FLAT_BELOW)
    stamp = EncoderStamp.of(CARD)
    Manifest(
        format=manifest.FORMAT,
        id="windows",
        owner="public",
        public=True,
        licence="various",
        documents=len(documents),
        passages=len(documents),
        encoder=stamp,
        inputs="",
        files=manifest.stamp(place),
    ).write(place)
    coding.code(folder / "main", stamp, print, lambda segment: np.load(segment / VECTORS, mmap_mode="r"))
    asked = np.random.default_rng(2).choice(len(vectors), QUERIES, replace=False)
    noise = np.random.default_rng(3).normal(size=(QUERIES, vectors.shape[1])) * 0.02
    queries = vectors[asked].astype(np.float32) + noise
    np.save(folder / "queries.npy", (queries / np.linalg.norm(queries, axis=1, keepdims=True)).astype(np.float32))
    return folder


def _forget() -> bool:
    """Empty the system's cache of files, where that is allowed."""
    try:
        subprocess.run(["sync"], check=True)
        Path("/proc/sys/vm/drop_caches").write_text("3")
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
