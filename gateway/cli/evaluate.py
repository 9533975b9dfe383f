"""`candor eval`: run a suite through the stack and print its report."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
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
from shared.clients.base import ServiceError
from shared.clients.evaluation import EvaluationClient
from shared.contracts.evaluation import STACK, Priority, Report, Run, RunRequest

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
    endpoint: Annotated[
        str,
        typer.Option(
            metavar="A,B",
            help="Who is asked: the stack, or an endpoint of CANDOR_EVALUATION_ENDPOINTS. Of several a run each, and "
            "their comparison with the first.",
        ),
    ] = STACK,
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
        asked = RunRequest(suite=suite, limit=limit or 100, seed=seed, options=options, priority=priority)
        requests = [asked.model_copy(update={"endpoint": one}) for one in dict.fromkeys(endpoint.split(","))]
        found = within(url, _run(requests, url))
        if len(found) == 1:
            print_report(found[0], as_json=json)
        else:
            reports.compare([report.run.id for report in found], url=url, json=json)
        return
    if suite != "retrieval":
        raise typer.BadParameter(f"--beir is for the suite retrieval, not {suite}")
    if endpoint != STACK:
        raise typer.BadParameter("--beir has services of its own, and asks no other endpoint")
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
        raise typer.BadParameter(f"{text!r} is not NAME=JSON, such as samples=5")
    try:
        return name, loads(value)
    except ValueError:
        return name, value


async def _run(requests: Sequence[RunRequest], url: str, again: str = "candor eval show {run}") -> list[Report]:
    """Every run is made before the first is watched: what is refused is refused at once."""
    client, made = EvaluationClient(url), list[Run]()
    try:
        for request in requests:
            made.append(await client.create(request))
    except ServiceError:
        for run in made:
            # one that has ended meanwhile stays as it is
            with suppress(ServiceError):
                await client.cancel(run.id)
        raise
    finally:
        await client.close()
    for run in made:
        what = run.suite if run.endpoint == STACK else f"{run.suite}, asked of {run.endpoint}"
        errors.print(f"Run {run.id} of {what}. To come back to it: {again.format(run=run.id)}", soft_wrap=True)
    return [await watch(run.id, url) for run in made]


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
    [report] = await _run([request], url, again="the same command")
    return report
