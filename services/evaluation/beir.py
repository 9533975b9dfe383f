"""Folders in BEIR's format (Thakur et al. 2021): corpus, queries, and judgements of which documents answer which.

BRIGHT's are read too; and a BEIR query may have `excluded_ids` as BRIGHT's do.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.evaluation.bright import DOCUMENTS, EXAMPLES, Examples, examples, is_bright, left_out


class BadBeir(ValueError):
    """The folder is not in BEIR's format; the message names the file, the place in it, and what is wrong."""


@dataclass(frozen=True)
class CorpusDocument:
    """One document. `text` is title and abstract joined by a space, as BEIR's own baselines read them."""

    id: str
    title: str
    text: str


_PARTS = "corpus.jsonl, queries.jsonl and qrels/test.tsv"


@dataclass(frozen=True)
class Beir:
    """A folder that has been read and found whole.

    `queries` are those with a document judged relevant, in the order of their file. `judgements[query][document]` is
    the grade, 0 for not relevant. `excluded[query]` are documents that its ranking leaves out. `corpus` is a hash of
    the corpus file, `judged` of queries and judgements.
    """

    folder: Path
    corpus: str
    judged: str
    queries: dict[str, str]
    judgements: dict[str, dict[str, int]]
    excluded: dict[str, list[str]]
    documents: int
    warnings: list[str]


def read(folder: Path) -> Beir:
    """Read a folder whole. Raises BadBeir."""
    bright = is_bright(folder)
    corpus = _file(folder, DOCUMENTS if bright else "corpus")
    judged, asked = _bright(folder) if bright else _beir(folder)
    documents, empty = set[str](), 0
    for document in _documents(corpus):
        if document.id in documents:
            raise BadBeir(f"{corpus}: the document {document.id!r} stands there twice.")
        documents.add(document.id)
        empty += not document.text
    if not documents:
        raise BadBeir(f"{corpus} has no documents.")
    texts, judgements = asked.queries, asked.judgements
    for query, left in asked.excluded.items():
        for one in left:
            judgements.get(query, {}).pop(one, None)
    relevant = {query for query, grades in judgements.items() if any(grade > 0 for grade in grades.values())}
    queries = {query: text for query, text in texts.items() if query in relevant and text.strip()}
    if not queries:
        raise BadBeir(f"{judged[-1]} names no query with a relevant document: nothing could be scored.")
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
    excluded = {query: left for query, left in asked.excluded.items() if query in queries}
    return Beir(folder, _digest(corpus), _digest(*judged), queries, judgements, excluded, len(documents), warnings)


def documents(folder: Path) -> Iterator[CorpusDocument]:
    """The corpus in the order of its file, but what is empty. Raises BadBeir."""
    corpus = _file(folder, DOCUMENTS if is_bright(folder) else "corpus")
    return (document for document in _documents(corpus) if document.text)


def _beir(folder: Path) -> tuple[list[Path], Examples]:
    """The files of queries and judgements, and what they say."""
    asked, qrels = _file(folder, "queries"), folder / "qrels" / "test.tsv"
    if not qrels.is_file():
        raise BadBeir(f"There is no {qrels}: BEIR keeps the judgements of the test queries there.")
    found = Examples()
    for place, row in _rows(asked):
        query = _text(row, "_id", place)
        found.queries[query] = _text(row, "text", place)
        try:
            if excluded := left_out(row, place):
                found.excluded[query] = excluded
        except ValueError as error:
            raise BadBeir(str(error)) from error
    found.judgements = _judgements(qrels)
    return [asked, qrels], found


def _bright(folder: Path) -> tuple[list[Path], Examples]:
    asked = _file(folder, EXAMPLES)
    try:
        return [asked], examples(_rows(asked))
    except BadBeir:
        raise
    except ValueError as error:
        raise BadBeir(str(error)) from error


def _file(folder: Path, name: str) -> Path:
    for path in (folder / f"{name}.jsonl", folder / f"{name}.parquet"):
        if path.is_file():
            return path
    if not folder.is_dir():
        unpack = ": unpack it first" if folder.is_file() else ""
        raise BadBeir(f"{folder} is no folder{unpack}. One in BEIR's format has {_PARTS}.")
    raise BadBeir(f"There is no {folder / name}.jsonl (nor .parquet): a folder in BEIR's format has {_PARTS}.")


def _documents(path: Path) -> Iterator[CorpusDocument]:
    for place, row in _rows(path):
        if path.stem == DOCUMENTS:
            yield CorpusDocument(_text(row, "id", place), "", _text(row, "content", place).strip())
            continue
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
    for number, line in enumerate(_lines(path), start=1):
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


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8", newline="") as lines:
        try:
            yield from lines
        except UnicodeDecodeError as error:
            raise BadBeir(f"{path} is no UTF-8 ({error.reason}): convert it first.") from error


def _text(row: dict[str, Any], name: str, place: str) -> str:
    value = row.get(name)
    if not isinstance(value, str):
        raise BadBeir(f"{place}: {name!r} is {'missing' if name not in row else 'no text'}.")
    return value


def _judgements(path: Path) -> dict[str, dict[str, int]]:
    """By query and document; the first line is a heading if its last column is no number, as BEIR's is."""
    found: dict[str, dict[str, int]] = {}
    for number, row in enumerate(csv.reader(_lines(path), delimiter="\t", quoting=csv.QUOTE_NONE), start=1):
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
