"""`candor eval`: run a suite through the stack and print its report."""

from __future__ import annotations

from json import loads
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli import reports, runs
from gateway.cli.beir import prepared
from gateway.cli.books import book
from gateway.cli.questions import add_set
from gateway.cli.stack_client import DEFAULT_URL, Url
from gateway.cli.terminal import errors
from gateway.cli.watch import print_report, watch, within
from shared.clients.evaluation import EvaluationClient
from shared.contracts.evaluation import Priority, Report, RunRequest

commands = typer.Typer(no_args_is_help=True, help="Run evaluation suites.")
commands.command("list")(runs.runs)
commands.command()(runs.cancel)
commands.command()(reports.report)
commands.command()(reports.compare)
commands.command()(reports.rescore)
commands.command("set")(add_set)
commands.command()(book)


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
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Draws the questions and seeds the samples.")] = 0,
    priority: Annotated[Priority, typer.Option(help="Of the runs that wait, which begins first.")] = "normal",
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
        request = RunRequest(suite=suite, limit=limit or 100, seed=seed, options=options, priority=priority)
        print_report(within(url, _run(request, url)), as_json=json)
        return
    if suite != "retrieval":
        raise typer.BadParameter(f"--beir is for the suite retrieval, not {suite}")
    assisted = any(value not in ([False], ["none"]) for name, value in options.items() if name in ("rewrite", "rerank"))
    with prepared(beir, assisted=assisted) as (name, queries, own):
        request = RunRequest(suite=suite, limit=limit or queries, seed=seed, options={**options, "set": name})
        print_report(within(own, _carried_on(request, own)), as_json=json)


@commands.command()
def show(
    run: Annotated[str, typer.Argument(help="The id of a run.")],
    url: Url = DEFAULT_URL,
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON and nothing else.")] = False,
) -> None:
    """Watch a run that was started before, and print its report."""
    print_report(within(url, watch(run, url)), as_json=json)


def _option(text: str) -> tuple[str, Any]:
    """NAME=JSON; what is no JSON is a string, so that words need no quotes."""
    name, equals, value = text.partition("=")
    if not equals:
        raise typer.BadParameter(f"{text!r} is not NAME=JSON")
    try:
        return name, loads(value)
    except ValueError:
        return name, value


async def _run(request: RunRequest, url: str, again: str = "candor eval show {run}") -> Report:
    client = EvaluationClient(url)
    try:
        created = await client.create(request)
    finally:
        await client.close()
    errors.print(
        f"Run {created.id} of {created.suite}. To come back to it: {again.format(run=created.id)}", soft_wrap=True
    )
    return await watch(created.id, url)


async def _carried_on(request: RunRequest, url: str) -> Report:
    """Watch the newest run of this request that has not ended, or start one."""
    client = EvaluationClient(url)
    try:
        newest = (await client.runs()).data
    finally:
        await client.close()
    wanted = request.model_dump()
    for run in newest:
        if run.status in ("queued", "running") and {name: getattr(run, name) for name in wanted} == wanted:
            errors.print(f"Carrying on with run {run.id}.", soft_wrap=True)
            return await watch(run.id, url)
    return await _run(request, url, again="the same command")
