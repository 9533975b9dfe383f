"""`candor eval`: run a suite through the stack and print its report."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from json import loads
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gateway.cli.beir import prepared
from gateway.cli.failure import Failure
from gateway.cli.report import show_report
from gateway.cli.stack_client import DEFAULT_URL, Url, explain
from gateway.cli.terminal import errors, out
from shared.clients.base import ServiceError
from shared.clients.evaluation import EvaluationClient
from shared.contracts.evaluation import Report, Run, RunRequest

commands = typer.Typer(no_args_is_help=True, help="Run evaluation suites.")


@commands.command()
def run(
    suite: Annotated[str, typer.Argument(help="Which suite, such as rag-qa.")],
    *,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Questions of each set at most. Default: 100; all with --beir.")
    ] = None,
    sets: Annotated[str | None, typer.Option(metavar="A,B", help="Only these sets.")] = None,
    settings: Annotated[str | None, typer.Option(metavar="A,B", help="Only these settings.")] = None,
    option: Annotated[
        list[str] | None, typer.Option(metavar="NAME=JSON", help="Another option of the suite, such as samples=5.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Draws the questions and seeds the samples.")] = 0,
    beir: Annotated[
        Path | None,
        typer.Option(help="retrieval: a folder in BEIR's format. Needs no stack; its datastore is built and kept."),
    ] = None,
    index: Annotated[str | None, typer.Option(metavar="A,B", help="retrieval: only these indexes.")] = None,
    k: Annotated[int | None, typer.Option(min=10, max=1000, help="retrieval: documents of a ranking.")] = None,
    url: Url = DEFAULT_URL,
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON and nothing else.")] = False,
) -> None:
    """Run a suite to its end and print the report.

    The run itself is the stack's: Ctrl-C only stops watching. With --beir the command has services of its own, and the
    same command again carries on a run that was broken off.
    """
    lists = {"sets": sets, "settings": settings, "indexes": index}
    options: dict[str, Any] = {name: text.split(",") for name, text in lists.items() if text is not None}
    options |= dict(_option(text) for text in option or [])
    options |= {"k": k} if k is not None else {}
    if beir is None:
        request = RunRequest(suite=suite, limit=limit or 100, seed=seed, options=options)
        _print(_within(url, _run(request, url)), as_json=json)
        return
    if suite != "retrieval":
        raise typer.BadParameter(f"--beir is for the suite retrieval, not {suite}")
    assisted = any(value not in ([False], ["none"]) for name, value in options.items() if name in ("rewrite", "rerank"))
    with prepared(beir, assisted=assisted) as (name, queries, own):
        request = RunRequest(suite=suite, limit=limit or queries, seed=seed, options={**options, "set": name})
        _print(_within(own, _carried_on(request, own)), as_json=json)


@commands.command()
def show(
    run: Annotated[str, typer.Argument(help="The id of a run.")],
    url: Url = DEFAULT_URL,
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON and nothing else.")] = False,
) -> None:
    """Watch a run that was started before, and print its report."""
    _print(_within(url, _watch(run, url)), as_json=json)


def _option(text: str) -> tuple[str, Any]:
    """NAME=JSON; what is no JSON is a string, so that words need no quotes."""
    name, equals, value = text.partition("=")
    if not equals:
        raise typer.BadParameter(f"{text!r} is not NAME=JSON")
    try:
        return name, loads(value)
    except ValueError:
        return name, value


def _print(report: Report, *, as_json: bool) -> None:
    if as_json:
        typer.echo(report.model_dump_json(indent=2))
    else:
        show_report(report, out)


def _within(url: str, work: Coroutine[Any, Any, Report]) -> Report:
    try:
        return asyncio.run(work)
    except ServiceError as error:
        raise Failure(explain(error, url)) from error


async def _run(request: RunRequest, url: str, again: str = "candor eval show {run}") -> Report:
    client = EvaluationClient(url)
    try:
        created = await client.create(request)
    finally:
        await client.close()
    errors.print(
        f"Run {created.id} of {created.suite}. To come back to it: {again.format(run=created.id)}", soft_wrap=True
    )
    return await _watch(created.id, url)


async def _carried_on(request: RunRequest, url: str) -> Report:
    """Watch the newest run of this request that has not ended, or start one."""
    client = EvaluationClient(url)
    try:
        runs = (await client.runs()).data
    finally:
        await client.close()
    wanted = request.model_dump()
    for run in runs:
        if run.status in ("queued", "running") and {name: getattr(run, name) for name in wanted} == wanted:
            errors.print(f"Carrying on with run {run.id}.", soft_wrap=True)
            return await _watch(run.id, url)
    return await _run(request, url, again="the same command")


async def _watch(run: str, url: str) -> Report:
    client = EvaluationClient(url)
    try:
        await client.run(run)  # following it is patient: that there is no stack at all is to be said at once
        ended = await _follow(client, run)
        if ended.status != "succeeded":
            raise Failure(f"The run {run} {ended.status}{': ' + ended.error if ended.error else ''}.")
        return await client.report(run)
    finally:
        await client.close()


async def _follow(client: EvaluationClient, run: str) -> Run:
    """Show progress until the run has ended."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, disable=not errors.is_terminal) as progress:
        bar = progress.add_task("questions", total=None)
        async for event in client.follow(run):
            now = event.progress
            progress.update(bar, completed=now.done, total=now.total or None)
    return await client.run(run)
