"""`candor eval book`: a text file becomes a book that the suite `copybench` asks about."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.failure import Failure, explained
from gateway.cli.terminal import out
from shared.owners import BadRegistry, load_owners
from shared.settings import candor_home


def book(
    file: Annotated[Path, typer.Argument(help="A book as plain text in English; Project Gutenberg's files will do.")],
    *,
    owner: Annotated[str, typer.Option(help="Whose text it is: an owner of owners.yaml.")],
    identity: Annotated[str | None, typer.Option("--id", help="Its name in runs. Default: from the file's.")] = None,
    title: Annotated[str | None, typer.Option(help="Default: the file's own, or its name.")] = None,
) -> None:
    """Make passages, characters, events and questions of a book. Then: candor eval run copybench."""
    from services.evaluation.books.build import build
    from services.evaluation.books.errors import BadBook
    from services.evaluation.books.file import write

    with explained(BadRegistry):
        known = [one.id for one in load_owners()]
    if owner not in known:
        raise Failure(f"There is no owner {owner!r}. Known: {', '.join(known)}.")
    with explained(BadBook):
        made = build(file, owner, identity=identity, title=title)
        path = write(made, candor_home())
    out.print(
        f"{path}: {made.title}, {made.words:,} words of prose, {len(made.passages)} passages, {len(made.openings)} "
        f"openings, {len(made.characters)} characters, {len(made.events)} events, {len(made.questions)} questions",
        soft_wrap=True,
    )
    out.print("Characters: " + "; ".join(" = ".join(one.aliases) for one in made.characters), soft_wrap=True)
    out.print("They are found by counting capitals: look them through in the file, and edit it.", soft_wrap=True)
    out.print(f"Next: candor eval run copybench --option 'books=[\"{made.id}\"]'", soft_wrap=True)
