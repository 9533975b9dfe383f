"""Folders in BEIR's format (Thakur et al. 2021): corpus, queries, and judgements of which documents answer which."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class BadBeir(ValueError):
    """The folder is not in BEIR's format; the message names the file, the place in it, and what is wrong."""


@dataclass(frozen=True)
class CorpusDocument:
    """One document. `text` is title and abstract joined by a space, as BEIR's own baselines read them."""

    id: str
    title: str
    text: str


@dataclass(frozen=True)
class Beir:
    """A folder that has been read and found whole.

    `queries` are those with a document judged relevant, in the order of their file. `judgements[query][document]` is
    the grade, 0 for not relevant. `corpus` is a hash of the corpus file, `judged` of queries and judgements.
    """

    folder: Path
    corpus: str
    judged: str
    queries: dict[str, str]
    judgements: dict[str, dict[str, int]]
    documents: int
    warnings: list[str]


def read(folder: Path) -> Beir:
    """Read a folder whole. Raises BadBeir."""
    corpus, asked = _file(folder, "corpus"), _file(folder, "queries")
    qrels = folder / "qrels" / "test.tsv"
    if not qrels.is_file():
        raise BadBeir(f"There is no {qrels}: BEIR keeps the judgements of the test queries there.")
    documents, empty = set[str](), 0
    for document in _documents(corpus):
        if document.id in documents:
            raise BadBeir(f"{corpus}: the document {document.id!r} stands there twice.")
        documents.add(document.id)
        empty += not document.text
    if not documents:
        raise BadBeir(f"{corpus} has no documents.")
    texts = {_text(row, "_id", place): _text(row, "text", place) for place, row in _rows(asked)}
    judgements = _judgements(qrels)
    relevant = {query for query, grades in judgements.items() if any(grade > 0 for grade in grades.values())}
    queries = {query: text for query, text in texts.items() if query in relevant and text.strip()}
    if not queries:
        raise BadBeir(f"{qrels} names no query of {asked} with a relevant document: nothing could be scored.")
    unknown = {document for grades in judgements.values() for document in grades} - documents
    warnings = [
        f"{count} {what}"
        for count, what in (
            (len(unknown), "judged documents are not in the corpus: they stay in the ideal ranking and lower scores"),
            (len(judgements.keys() - texts.keys()), "judged queries are not in the file of queries: not asked"),
            (
                len((judgements.keys() & texts.keys()) - queries.keys()),
                "judged queries are empty or have no relevant document: not asked",
            ),
            (empty, "documents are empty and cannot be found"),
        )
        if count
    ]
    return Beir(folder, _digest(corpus), _digest(asked, qrels), queries, judgements, len(documents), warnings)


def documents(folder: Path) -> Iterator[CorpusDocument]:
    """The corpus in the order of its file, but what is empty. Raises BadBeir."""
    return (document for document in _documents(_file(folder, "corpus")) if document.text)


def _file(folder: Path, name: str) -> Path:
    for path in (folder / f"{name}.jsonl", folder / f"{name}.parquet"):
        if path.is_file():
            return path
    raise BadBeir(f"There is no {folder / name}.jsonl (nor .parquet): a folder in BEIR's format has one.")


def _documents(path: Path) -> Iterator[CorpusDocument]:
    for place, row in _rows(path):
        title = _text(row, "title", place) if row.get("title") is not None else ""
        text = f"{title} {_text(row, 'text', place)}".strip()
        yield CorpusDocument(_text(row, "_id", place), title, text)


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each row with its place, for messages."""
    if path.suffix == ".parquet":
        from pyarrow import parquet  # noqa: PLC0415 - slow to import, and few folders have it

        number = 0
        for batch in parquet.ParquetFile(path).iter_batches(1024):
            for row in batch.to_pylist():
                number += 1
                yield f"{path}, row {number}", row
        return
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            place = f"{path}, line {number}"
            try:
                row = json.loads(line)
            except ValueError as error:
                raise BadBeir(f"{place}: no JSON ({error}).") from error
            if not isinstance(row, dict):
                raise BadBeir(f"{place}: not a JSON object.")
            yield place, row


def _text(row: dict[str, Any], name: str, place: str) -> str:
    value = row.get(name)
    if not isinstance(value, str):
        raise BadBeir(f"{place}: {name!r} is {'missing' if name not in row else 'no text'}.")
    return value


def _judgements(path: Path) -> dict[str, dict[str, int]]:
    """By query and document; the first line is a heading if its last column is no number, as BEIR's is."""
    found: dict[str, dict[str, int]] = {}
    with path.open(encoding="utf-8", newline="") as lines:
        for number, row in enumerate(csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE), start=1):
            try:
                query, document, grade = row
                found.setdefault(query, {})[document] = int(grade)
            except ValueError as error:
                if number == 1 and len(row) == 3:
                    found.clear()
                    continue
                raise BadBeir(f"{path}, line {number}: not query, document and a whole number, by tabs.") from error
    return found


def _digest(*paths: Path) -> str:
    whole = hashlib.sha256()
    for path in paths:
        with path.open("rb") as stream:
            whole.update(hashlib.file_digest(stream, "sha256").digest())
    return whole.hexdigest()
