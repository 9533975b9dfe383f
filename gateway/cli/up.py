"""`candor up`: the whole stack in one command, until it is told to stop."""

from __future__ import annotations

import signal
import threading
import time
from typing import Annotated

import typer
from rich.live import Live
from rich.table import Table
from rich.text import Text

from gateway.cli.failure import explained
from gateway.cli.stack_client import DEFAULT_URL
from gateway.cli.terminal import errors, out
from gateway.cli.wanting import require_built
from gateway.embedded import RunningStack, StackError
from shared.settings import candor_home

READY_SECONDS = 300
WATCH_SECONDS = 0.5


def up(
    port: Annotated[int, typer.Option(min=0, max=65535, help="The gateway's port; 0 takes any free one.")] = 8080,
    host: Annotated[str, typer.Option(help="Where the gateway listens; the services stay on loopback.")] = "127.0.0.1",
) -> None:
    """Start the gateway and all services on this machine, and keep them running until Ctrl-C."""
    home, stop = candor_home(), stop_on_signal()
    require_built(home)
    with explained(StackError), RunningStack(home, host=host, port=port) as stack:
        started = time.monotonic()
        if not wait_ready(stack, stop):
            return
        out.print(
            f"Candor is ready after {time.monotonic() - started:.0f} s at [bold]{stack.address}[/]", soft_wrap=True
        )
        out.print(f"  API documentation  {stack.address}/docs", soft_wrap=True)
        out.print(f"  model service      {stack.urls['model']}", soft_wrap=True)
        out.print(f"  retrieval service  {stack.urls['retrieval']}", soft_wrap=True)
        out.print(f"  tracing service    {stack.urls['tracing']}", soft_wrap=True)
        out.print(f"  logs               {stack.state / 'logs'}", soft_wrap=True)
        elsewhere = "" if stack.address == DEFAULT_URL else f" --url {stack.address}"
        out.print(f'  try                candor ask "Who were the Normans?"{elsewhere}', soft_wrap=True)
        out.print("Ctrl-C stops it.")
        while not stop.wait(WATCH_SECONDS):
            for death in stack.revive():
                errors.print(f"{death}\nStarting the {death.service} service again.", markup=False)
        errors.print("Stopping ...")


def stop_on_signal() -> threading.Event:
    """An event that Ctrl-C, SIGTERM and a closed terminal set, in the place of an exception in mid-work."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    return stop


def wait_ready(stack: RunningStack, stop: threading.Event | None = None) -> bool:
    """Wait for every service with their phases on the terminal; False when told to stop meanwhile."""
    if not errors.is_terminal:
        errors.print("Starting the gateway and four services ...")
        return stack.wait(READY_SECONDS, cancel=stop)
    with Live(console=errors, transient=True) as live:
        return stack.wait(READY_SECONDS, cancel=stop, show=lambda phases: live.update(_table(phases)))


def _table(phases: dict[str, str]) -> Table:
    table = Table.grid(padding=(0, 2))
    waiting = any(phase != "ready" for service, phase in phases.items() if service != "gateway")
    for service, phase in phases.items():
        # the gateway's own phase repeats those of the services, which stand below it
        what = "waiting for the services" if service == "gateway" and waiting else phase
        table.add_row("[green]✓[/]" if phase == "ready" else "[yellow]…[/]", service, Text(what))
    return table
