"""`candor eval run retrieval --beir DIR`: a benchmark's folder becomes a datastore of its own, which is then asked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.cli.data import step
from gateway.cli.failure import Failure, explained
from gateway.cli.terminal import errors
from gateway.embedded import StackError
from gateway.embedded.benchmark import benchmark_services
from shared.lock import locked
from shared.settings import candor_home

if TYPE_CHECKING:
    from services.evaluation.beir import Beir


@contextmanager
def prepared(folder: Path, *, assisted: bool = False) -> Iterator[tuple[str, int, str]]:
    """The set's name, its number of queries, and the address of an evaluation service that can run it. Raises Failure.

    `assisted`: the language model is started too, for searches that it rewrites or reranks.

    All is in CANDOR_HOME/beir, away from the owners' data: a folder a corpus, found again by the corpus's hash.
    """
    from services.evaluation.beir import BadBeir, read

    home = candor_home()
    with explained(BadBeir):
        found = read(folder)
    for warning in found.warnings:
        errors.print(f"{folder}: {warning}.", markup=False, soft_wrap=True)
    name = f"beir-{_slug(folder)}-{found.corpus[:8]}"
    here = home / "beir" / name
    here.mkdir(parents=True, exist_ok=True)
    with _alone(here), explained(StackError):
        datastores = _build(home, here, name, folder)
        _describe(here, name, found)
        errors.print("Starting the retrieval service over it ...")
        with benchmark_services(home, datastores, here / "runs", model=assisted) as url:
            yield name, len(found.queries), url


def _build(home: Path, here: Path, name: str, folder: Path) -> Path:
    from services.evaluation.beir import BadBeir, documents
    from services.retrieval.benchmark import build_benchmark
    from services.retrieval.build import BadExact
    from services.retrieval.datastore.build import NothingToBuild
    from services.retrieval.datastore.layout import BadLayout
    from shared.builder import BuildRunning

    texts = ({"id": one.id, "title": one.title, "text": one.text} for one in documents(folder))
    with (
        step("retrieval", "embedding the corpus, some minutes the first time") as tell,
        explained(BadBeir, BadExact, BadLayout, BuildRunning, NothingToBuild, FileNotFoundError),
    ):
        return build_benchmark(home, here, name, texts, tell)


def _describe(here: Path, name: str, found: Beir) -> None:
    """Write `set.json`, which the suite plans from."""
    from services.evaluation.suites.retrieval import PreparedSet

    kept = PreparedSet(
        name=name,
        corpus=found.corpus,
        judged=found.judged,
        documents=found.documents,
        queries=found.queries,
        judgements={query: found.judgements[query] for query in found.queries},
        excluded=found.excluded,
        warnings=found.warnings,
    )
    unfinished = here / ".set.json"
    unfinished.write_text(kept.model_dump_json(), encoding="utf-8")
    unfinished.replace(here / "set.json")


@contextmanager
def _alone(here: Path) -> Iterator[None]:
    with ExitStack() as held:
        try:
            held.enter_context(locked(here / ".lock", wait=False))
        except BlockingIOError as error:
            raise Failure(f"Another command is at work in {here}: wait until it is done.") from error
        yield


def _slug(folder: Path) -> str:
    """The folder's name as part of an owner's id."""
    return re.sub(r"[^a-z0-9]+", "-", folder.absolute().name.lower()).strip("-")[:40] or "set"
