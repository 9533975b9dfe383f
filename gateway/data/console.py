"""Progress of a pull on the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from gateway.data.progress import Progress


@contextmanager
def bars(console: Console | None = None) -> Iterator[Progress]:
    """A progress that draws a bar for each piece of work; a line for each finished one where nothing can be redrawn."""
    console = console or Console(stderr=True)
    if console.is_terminal:
        with _bars(console) as progress:
            yield progress
    else:
        yield _Lines(console)


@contextmanager
def _bars(console: Console) -> Iterator[Progress]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
    )
    tasks: dict[str, TaskID] = {}
    with Bars(*columns, console=console) as display:

        def progress(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = display.add_task(what, total=None)
            display.update(tasks[what], completed=done, total=total or None)

        yield progress


class _Lines:
    """For logs: what began and what was finished."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._begun: set[str] = set()

    def __call__(self, what: str, done: int, total: int) -> None:
        if total and done >= total:
            self._console.print(f"{what}: done", highlight=False)
        elif what not in self._begun:
            self._begun.add(what)
            self._console.print(f"{what} ...", highlight=False)
