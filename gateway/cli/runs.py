"""`candor eval list` and `cancel`: which runs there are, and an end to one."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated

import typer
from rich.table import Table

from gateway.cli.stack_client import DEFAULT_URL, Url
from gateway.cli.terminal import out, table
from gateway.cli.watch import asked
from shared.contracts.evaluation import Run


def runs(
    limit: Annotated[int, typer.Option(min=1, max=100, help="So many of the newest.")] = 20,
    after: Annotated[str | None, typer.Option(metavar="RUN", help="Only those older than this one.")] = None,
    url: Url = DEFAULT_URL,
    json: Annotated[bool, typer.Option("--json", help="Print them as JSON and nothing else.")] = False,
) -> None:
    """List runs, newest first."""
    found = asked(url, lambda client: client.runs(after=after, limit=limit))
    if json:
        typer.echo(found.model_dump_json(indent=2))
        return
    if found.data:
        out.print(_table(found.data))
    elif after is None:
        out.print("There is no run yet. Start one with: candor eval run rag-qa", soft_wrap=True)
    if found.has_more:
        out.print(f"Older ones: candor eval list --after {found.last_id}", soft_wrap=True)


def cancel(run: Annotated[str, typer.Argument(help="The id of a run.")], url: Url = DEFAULT_URL) -> None:
    """Stop a run. What it has done so far is kept and can be reported."""
    ended = asked(url, lambda client: client.cancel(run))
    progress = ended.progress
    out.print(f"{ended.id} is {ended.status} after {progress.done:,} of {progress.total:,} items.", soft_wrap=True)


def _table(found: Iterable[Run]) -> Table:
    rows = table("run", "suite", "status", "items", "failed", "created")
    for run in found:
        done = f"{run.progress.done:,} of {run.progress.total:,}"
        created = datetime.fromtimestamp(run.created).strftime("%Y-%m-%d %H:%M")
        rows.add_row(run.id, run.suite, run.status, done, f"{run.progress.failed:,}", created)
    return rows
