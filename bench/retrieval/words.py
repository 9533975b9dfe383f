"""BM25 over a million passages: ours beside bm25s and tantivy, each built and searched in a process of its own.

The passages are the windows of 60 words of `bench.retrieval.million`. Every system gets the same words, cut and stemmed
by our rule, so that it is the indexes that are compared; what each finds is compared with a brute force of its own
formula. The first run makes the indexes, in CANDOR_HOME/bench/words, which takes some minutes.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import time
from abc import ABC, abstractmethod
from array import array
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

from bench.result import Figures, finish
from bench.retrieval.measure import alone, anonymous, quantiles
from bench.retrieval.vectors import MILLION, million_texts
from bench.texts import questions
from services.retrieval.bm25.postings import Postings
from services.retrieval.bm25.search import search
from services.retrieval.bm25.words import words
from shared.settings import candor_home

OF_EACH, QUERIES, K = 12, 100, 10
"""Questions of each set, of which and of the windows there are so many; and how many passages are asked for."""

Scores = NDArray[np.float64]

_AT_ONCE = 10_000
_ROUNDING = 1e-6
"""Scores are kept in 32 bits by some."""


class System(ABC):
    """An index of passages given as their words, in a folder of its own."""

    k1: ClassVar[float] = 1.5
    b: ClassVar[float] = 0.75

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @abstractmethod
    def build(self, passages: list[list[str]]) -> None:
        """Write the index."""

    @abstractmethod
    def open(self) -> None:
        """Load what `build` wrote."""

    @abstractmethod
    def search(self, query: str) -> list[int]:
        """The K best, from the text of the query."""


class Ours(System):
    """The postings of a segment: counts in files mapped into memory, weights made for each request."""

    def build(self, passages: list[list[str]]) -> None:
        """As a segment does."""
        Postings.write(self.folder, passages)

    def open(self) -> None:
        """As a segment does."""
        self.postings = [Postings(self.folder)]

    def search(self, query: str) -> list[int]:
        """As a request does, with as many candidates as it is to give."""
        (found,) = search(self.postings, [query], K)
        rows: list[int] = found.rows.tolist()
        return rows


class Bm25s(System):
    """Weights made at the build; `backend="numba"`, one thread."""

    def build(self, passages: list[list[str]]) -> None:
        """Index and save."""
        import bm25s  # noqa: PLC0415 (only this system's process needs it)

        index = bm25s.BM25(method="lucene", k1=self.k1, b=self.b, backend="numba")
        index.index(passages, show_progress=False)
        index.save(self.folder, show_progress=False)

    def open(self) -> None:
        """Into memory, which is its default."""
        import bm25s  # noqa: PLC0415

        self.index = bm25s.BM25.load(self.folder, show_progress=False)
        self.index.backend = "numba"

    def search(self, query: str) -> list[int]:
        """One query."""
        rows, _ = self.index.retrieve(words([query]), k=K, show_progress=False, n_threads=1)
        found: list[int] = rows[0].tolist()
        return found


class Tantivy(System):
    """Counts, with the largest weight of each block of postings, by which blocks are passed over. Its k1 is fixed, and
    it keeps lengths in one byte."""

    k1 = 1.2

    def build(self, passages: list[list[str]]) -> None:
        """One writer with one thread."""
        writer = self._made().writer(heap_size=500_000_000, num_threads=1)
        for row, passage in enumerate(passages):
            document = self.package.Document()
            document.add_text("text", " ".join(passage))
            document.add_unsigned("row", row)
            writer.add_document(document)
        writer.commit()
        writer.wait_merging_threads()

    def open(self) -> None:
        """Its files are mapped into memory."""
        self.index = self._made()
        self.searcher = self.index.searcher()

    def search(self, query: str) -> list[int]:
        """Any of the words."""
        (split,) = words([query])
        package = self.package
        terms = [
            package.Query.boost_query(package.Query.term_query(self.index.schema, "text", word), float(times))
            for word, times in Counter(split).items()
        ]
        asked = package.Query.boolean_query([(package.Occur.Should, term) for term in terms])
        hits = self.searcher.search(asked, K, count=False).hits
        return [self.searcher.doc(place)["row"][0] for _, place in hits]

    def _made(self) -> Any:
        import tantivy  # noqa: PLC0415 (only this system's process needs it)

        self.package = tantivy
        schema = tantivy.SchemaBuilder()
        schema.add_text_field("text", tokenizer_name="whitespace", index_option="freq")
        schema.add_unsigned_field("row", stored=True)
        return tantivy.Index(schema.build(), path=str(self.folder))


SYSTEMS: dict[str, type[System]] = {"ours": Ours, "bm25s": Bm25s, "tantivy": Tantivy}


def main() -> None:
    """Measure, print, write bench/results/retrieval_words.json."""
    parser = argparse.ArgumentParser(prog="python -m bench.retrieval.words", description=__doc__)
    parser.add_argument("--passages", type=int, default=MILLION)
    parser.add_argument("--systems", nargs="+", choices=[*SYSTEMS], default=[*SYSTEMS])
    parser.add_argument("--build", action="store_true", help="make the indexes and measure nothing")
    arguments = parser.parse_args()
    folder = candor_home() / "bench" / "words" / str(arguments.passages)
    alone(_texts, candor_home(), folder, arguments.passages)
    for system in arguments.systems:
        alone(_build, system, folder)
    if arguments.build:
        return
    best = alone(_best, folder)
    figures: Figures = {}
    for system in arguments.systems:
        measured = alone(_measured, system, folder, best[system])
        figures |= {f"{system}_{name}": value for name, value in measured.items()}
    versions = {name: version(name) for name in ("bm25s", "tantivy")}
    finish("retrieval_words", figures, {"passages": arguments.passages, "queries": QUERIES, "k": K, **versions})


def _texts(home: Path, folder: Path, count: int) -> None:
    """The words of the passages, and the queries: questions of people, and windows that are among the passages."""
    if (folder / "queries.json").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    texts = million_texts(home)[:count]
    with (folder / "words.txt").open("w", encoding="utf-8") as file:
        for start in range(0, len(texts), _AT_ONCE):
            file.writelines(" ".join(passage) + "\n" for passage in words(texts[start : start + _AT_ONCE]))
    asked = {"questions": questions(home, OF_EACH)[:QUERIES], "windows": texts[:: len(texts) // QUERIES][:QUERIES]}
    (folder / "queries.json").write_text(json.dumps(asked))


def _build(system: str, folder: Path) -> None:
    """Build an index, unless it was built before; `SYSTEM.json` has what that took."""
    took = folder / f"{system}.json"
    if took.exists():
        return
    shutil.rmtree(folder / system, ignore_errors=True)
    (folder / system).mkdir()
    passages = [line.split() for line in _lines(folder)]
    began = time.process_time()  # of all threads: less at the mercy of what else the machine does
    SYSTEMS[system](folder / system).build(passages)
    took.write_text(json.dumps({"build_cpu_s": time.process_time() - began}))


def _measured(system: str, folder: Path, best: dict[str, list[set[int]]]) -> Figures:
    """By kind of query: times, and the share of what was found that belongs to the best by brute force."""
    figures: Figures = json.loads((folder / f"{system}.json").read_text())
    figures["bytes"] = sum(path.stat().st_size for path in (folder / system).iterdir())
    before = anonymous()
    index = SYSTEMS[system](folder / system)
    index.open()
    asked = _queries(folder)
    for queries in asked.values():
        for query in queries:  # once before the clock: compilers, caches of files
            index.search(query)
    figures["memory_mb"] = (anonymous() - before) / 1e6
    for kind, queries in asked.items():
        walls, shares, cpu = [], [], time.process_time()
        for query, right in zip(queries, best[kind], strict=True):
            began = time.perf_counter()
            found = index.search(query)
            walls.append(1000 * (time.perf_counter() - began))
            shares.append(len({*found} & right) / min(K, len(right)))
        figures[f"{kind}_cpu_ms"] = 1000 * (time.process_time() - cpu) / len(queries)
        figures[f"{kind}_p50_ms"], figures[f"{kind}_p95_ms"] = quantiles(walls)
        figures[f"{kind}_agreement"] = statistics.mean(shares)
    return figures


def _best(folder: Path) -> dict[str, dict[str, list[set[int]]]]:
    """By system, kind and query, the K best by the system's formula and what scores as the last of them does."""
    terms: dict[str, int] = {}
    numbers, lengths = array("i"), []
    for line in _lines(folder):
        split = line.split()
        numbers.extend(terms.setdefault(word, len(terms)) for word in split)
        lengths.append(len(split))
    rows = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
    ones = np.ones(len(rows), np.int32)
    counts = csc_array((ones, (rows, np.frombuffer(numbers, np.int32))), (len(lengths), len(terms)))
    relative = np.array(lengths) / np.mean(lengths)
    return {
        system: {
            kind: [
                _bests(counts, relative, Counter(terms.get(word, -1) for word in split), made) for split in words(asked)
            ]
            for kind, asked in _queries(folder).items()
        }
        for system, made in SYSTEMS.items()
    }


def _bests(counts: csc_array, relative: Scores, query: Counter[int], made: type[System]) -> set[int]:
    scores = np.zeros(len(relative))
    for term, times in query.items():
        if term < 0:
            continue
        place = slice(counts.indptr[term], counts.indptr[term + 1])
        rows, count = counts.indices[place], counts.data[place]
        rarity = np.log(1 + (len(relative) - len(rows) + 0.5) / (len(rows) + 0.5))
        scores[rows] += times * rarity * count / (count + made.k1 * (1 - made.b + made.b * relative[rows]))
    least = np.partition(scores, -K)[-K]
    return {*np.flatnonzero((scores >= least * (1 - _ROUNDING)) & (scores > 0)).tolist()}


def _queries(folder: Path) -> dict[str, list[str]]:
    asked: dict[str, list[str]] = json.loads((folder / "queries.json").read_text())
    return asked


def _lines(folder: Path) -> Iterator[str]:
    with (folder / "words.txt").open(encoding="utf-8") as file:
        yield from file


if __name__ == "__main__":
    main()
