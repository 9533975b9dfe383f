"""The commands, and the one place where their failures end."""

from __future__ import annotations

import sys
from io import TextIOWrapper

import typer

from gateway.cli import ask, data, demo, evaluate, expert, model, retriever, serve, trace, up
from gateway.cli.failure import Failure
from gateway.cli.terminal import errors

app = typer.Typer(
    name="candor",
    help="Answers that say whose data they come from. Start with: candor data pull, candor data build, candor up.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(up.up)
app.command()(serve.serve)
app.command()(ask.ask)
app.command()(trace.trace)
app.command()(demo.demo)
app.add_typer(data.commands, name="data")
app.add_typer(expert.commands, name="expert")
app.add_typer(model.commands, name="model")
app.add_typer(evaluate.commands, name="eval")
app.add_typer(retriever.commands, name="retriever")


def main() -> None:
    """What the `candor` executable runs."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # an answer may have any character, a terminal not
    try:
        app()
    except Failure as failure:
        errors.print("[bold red]Error:[/]", end=" ")
        errors.print(str(failure), markup=False, highlight=False, soft_wrap=True)
        sys.exit(1)
