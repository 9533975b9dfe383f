"""How commands call the evaluation service through the gateway, and watch a run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gateway.cli.failure import Failure
from gateway.cli.report import show_report
from gateway.cli.stack_client import explain
from gateway.cli.terminal import errors, out
from shared.clients.base import ServiceError
from shared.clients.evaluation import EvaluationClient
from shared.contracts.evaluation import Report, Run

Answer = TypeVar("Answer")


def print_report(report: Report, *, as_json: bool) -> None:
    """On the terminal, or as JSON and nothing else."""
    if as_json:
        typer.echo(report.model_dump_json(indent=2))
    else:
        show_report(report, out)


def within(url: str, work: Coroutine[Any, Any, Answer]) -> Answer:
    """What calls the stack, done. Raises Failure when there is no stack or it refuses."""
    try:
        return asyncio.run(work)
    except ServiceError as error:
        raise Failure(explain(error, url)) from error


def asked(url: str, what: Callable[[EvaluationClient], Awaitable[Answer]]) -> Answer:
    """One call of the client. Raises Failure when there is no stack or it refuses."""

    async def once() -> Answer:
        client = EvaluationClient(url)
        try:
            return await what(client)
        finally:
            await client.close()

    return within(url, once())


async def watch(run: str, url: str) -> Report:
    """Show a run's progress to its end; its report. Raises Failure if it does not succeed."""
    client = EvaluationClient(url)
    try:
        await client.run(run)  # following it is patient: that there is no stack at all is to be said at once
        ended = await _follow(client, run)
        if ended.status != "succeeded":
            how = "was cancelled" if ended.status == "cancelled" else ended.status
            why = f": {ended.error.rstrip('.')}" if ended.error else ""
            raise Failure(f"The run {run} {how}{why}.")
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
