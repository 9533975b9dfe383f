"""`candor eval set`: download a hub's set of questions, so that runs need no hub and ask the same ones again."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.failure import Failure, explained
from gateway.cli.terminal import out
from shared.settings import candor_home


def add_set(
    what: Annotated[str, typer.Argument(help="A hub's data set: hub:NAME[:CONFIG][@REVISION].")],
    *,
    split: Annotated[str, typer.Option(help="Of the data set.")] = "test",
) -> None:
    """Download a set of questions from a hub. Then: candor eval run rag --sets NAME."""
    from gateway.data.hub import BadDataset, Name, fetch
    from services.evaluation.errors import BadOption
    from services.evaluation.suites.sets.reading import FOLDER, choose, digest

    with explained(BadDataset):
        wanted = Name.parse(what)
    target = candor_home() / FOLDER / wanted.source
    if target.exists():
        raise Failure(f"{target} is there already: remove it first.")
    target.parent.mkdir(parents=True, exist_ok=True)
    # hidden, and of the shape of a data folder, so that the questions are read as a run will read them
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".hub-") as work:
        folder = Path(work) / FOLDER / wanted.source
        folder.mkdir(parents=True)
        with explained(BadDataset):
            fetched = fetch(wanted, split, Path(work) / "hub", os.environ.get("HF_ENDPOINT"))
        for name, path in fetched.files:
            shutil.move(path, folder / name.replace("/", "-"))
        try:
            problems = choose(Path(work), wanted.source, limit=10**9, seed=0)
        except BadOption as error:
            raise Failure(str(error)) from error
        folder.rename(target)
    out.print(
        f"{target}: {len(problems):,} questions, licence {fetched.licence or 'not named'}, commit {fetched.commit}, "
        f"SHA-256 {digest(problems)}",
        soft_wrap=True,
    )
    out.print(f"Next: candor eval run rag --sets {wanted.source}", soft_wrap=True)
