"""`candor data add`: put texts where an owner's datastore is built from."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.failure import Failure, explained
from gateway.cli.terminal import out
from shared.owners import BadRegistry, load_owners
from shared.settings import candor_home


def add(
    owner: Annotated[str, typer.Argument(help="An owner of owners.yaml.")],
    what: Annotated[str, typer.Argument(help="A file, a folder, or a hub's data set: hub:NAME[:CONFIG][@REVISION].")],
    *,
    split: Annotated[str, typer.Option(help="Of the data set.")] = "train",
    text_column: Annotated[str, typer.Option(help="Of the data set.")] = "text",
    id_column: Annotated[str | None, typer.Option(help="Of the data set; else a document's id is its place.")] = None,
    title_column: Annotated[str | None, typer.Option(help="Of the data set.")] = None,
    licence: Annotated[str | None, typer.Option(help="Of the data set, if its card names none.")] = None,
) -> None:
    """Add texts to an owner's. Then: candor data build."""
    with explained(BadRegistry):
        known = [entry.id for entry in load_owners()]
    if owner not in known:
        raise Failure(f"There is no owner {owner!r} in owners.yaml. Known: {', '.join(known)}.")
    texts = candor_home() / "texts" / owner
    if what.startswith("hub:"):
        from gateway.data.hub import BadDataset, Name
        from gateway.data.hub_texts import Columns
        from gateway.data.hub_texts import add as add_dataset

        columns = Columns(text_column, id_column, title_column)
        with explained(BadDataset):
            added = add_dataset(
                Name.parse(what), texts, split, columns, licence=licence, endpoint=os.environ.get("HF_ENDPOINT")
            )
        out.print(
            f"{added.folder}: {added.documents:,} documents, licence {added.licence}, commit {added.commit}",
            soft_wrap=True,
        )
    else:
        out.print(f"{_copy(Path(what), texts)}", soft_wrap=True)
    if _dropped(owner):
        out.print(f"{owner} was deleted from the datastore, and its texts are left out until it is restored.")
        out.print(f"Next: candor data build --restore {owner}", soft_wrap=True)
    else:
        out.print("Next: candor data build", soft_wrap=True)


def _dropped(owner: str) -> bool:
    from services.retrieval.datastore import deletions

    try:
        return owner in deletions.read(candor_home() / "retrieval" / "main").dropped
    except deletions.BadDeletions:
        return False  # the build says so


def _copy(path: Path, texts: Path) -> Path:
    """A file or folder, copied whole or not at all."""
    from services.retrieval.datastore.ingest.readers import READERS

    if not path.exists():
        raise Failure(f"There is no file or folder {path}.")
    if path.resolve() in (Path.cwd(), Path(path.resolve().anchor)):
        raise Failure(f"{path.resolve()} is the folder you are in, or all files there are: name what is to be added.")
    if path.is_file() and path.suffix.lower() not in READERS:
        raise Failure(f"{path} is not of a kind that can be read: {', '.join(READERS)}.")
    target, temporary = texts / path.resolve().name, texts / f".adding-{path.resolve().name}"
    if target.exists():
        raise Failure(f"{target} is there already: remove it first.")
    texts.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.copytree(path, temporary)
    else:
        shutil.copyfile(path, temporary)
    return temporary.rename(target)
