"""`candor eval report`, `compare` and `rescore`: runs that have been made, printed, written and scored again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Annotated, BinaryIO

import httpx
import typer

from gateway.cli.failure import explained
from gateway.cli.report import show_compared
from gateway.cli.stack_client import DEFAULT_URL, Url
from gateway.cli.terminal import errors, out
from gateway.cli.watch import asked, print_report, watch, within
from shared.clients.evaluation import EvaluationClient
from shared.contracts.evaluation import ReportFormat, RescoreRequest

Html = Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page with plots and every item here.")]
Markdown = Annotated[Path | None, typer.Option(metavar="FILE", help="Write it as Markdown here.")]
Json = Annotated[bool, typer.Option("--json", help="Print it as JSON and nothing else.")]

_Opening = Callable[[EvaluationClient, ReportFormat], AbstractAsyncContextManager[httpx.Response]]


def report(
    run: Annotated[str, typer.Argument(help="The id of a run.")],
    html: Html = None,
    markdown: Markdown = None,
    url: Url = DEFAULT_URL,
    json: Json = False,
) -> None:
    """Print a run's report, or write it as a file; of a run that has not ended, the items done so far."""
    if not _written(html, markdown, url, lambda client, form: client.report_as(run, form)):
        print_report(asked(url, lambda client: client.report(run)), as_json=json)


def compare(
    runs: Annotated[list[str], typer.Argument(help="Ids of runs. The others are compared with the first.")],
    html: Html = None,
    markdown: Markdown = None,
    url: Url = DEFAULT_URL,
    json: Json = False,
) -> None:
    """Compare runs over the questions that they both asked, in pairs."""
    if _written(html, markdown, url, lambda client, form: client.compared_as(runs, form)):
        return
    compared = asked(url, lambda client: client.compare(runs))
    if json:
        typer.echo(compared.model_dump_json(indent=2))
    else:
        show_compared(compared, out)


def rescore(
    run: Annotated[str, typer.Argument(help="The id of a run that has ended.")],
    suite: Annotated[str | None, typer.Option(help="Another suite, which can read its answers.")] = None,
    metric: Annotated[
        list[str] | None, typer.Option(help="Another metric beside the suite's. May be repeated.")
    ] = None,
    url: Url = DEFAULT_URL,
    json: Json = False,
) -> None:
    """Score the answers of a run again, as a new run: nothing is asked a second time."""
    request = RescoreRequest(suite=suite, metrics=metric or [])
    again = asked(url, lambda client: client.rescore(run, request))
    errors.print(f"Run {again.id} of {again.suite}, of the answers of {run}.", soft_wrap=True)
    print_report(within(url, watch(again.id, url)), as_json=json)


def _written(html: Path | None, markdown: Path | None, url: str, opening: _Opening) -> bool:
    """Write the files that are wanted; whether any is."""
    if html is not None:
        _write(html, url, lambda client: opening(client, "html"))
    if markdown is not None:
        _write(markdown, url, lambda client: opening(client, "markdown"))
    return html is not None or markdown is not None


def _write(
    file: Path, url: str, opening: Callable[[EvaluationClient], AbstractAsyncContextManager[httpx.Response]]
) -> None:
    """An answer as it comes, into a file that appears when it is whole."""
    part = file.with_name(file.name + ".part")
    try:
        with explained(OSError):
            with part.open("wb") as target:
                asked(url, lambda client: _copied(client, opening(client), target))
            part.replace(file)
    finally:
        part.unlink(missing_ok=True)
    kilobytes = file.stat().st_size / 1e3
    size = f"{kilobytes:.0f} kB" if kilobytes < 1000 else f"{kilobytes / 1e3:.1f} MB"
    errors.print(f"{file}: {size}", soft_wrap=True, markup=False)


async def _copied(
    client: EvaluationClient, opening: AbstractAsyncContextManager[httpx.Response], target: BinaryIO
) -> None:
    async with client.pieces(opening) as response:
        async for piece in response.aiter_bytes():
            target.write(piece)
