"""`candor serve SERVICE`: one service in the foreground, as containers and other supervisors run it."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from gateway.cli.failure import explained
from gateway.embedded import SERVICES, StackError
from gateway.embedded.serve import serve as serve_here
from gateway.embedded.sockets import bind

Name = Literal["gateway", "model", "retrieval", "tracing", "evaluation"]


def serve(
    service: Annotated[Name, typer.Argument(help="Which service.")],
    host: Annotated[str, typer.Option(help="Where it listens.")] = "127.0.0.1",
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Default: 8080 to 8084, in that order.")] = None,
    grace: Annotated[int, typer.Option(min=0, help="Seconds that requests under way have to end when it stops.")] = 30,
) -> None:
    """Run one service in this process. Its settings are the environment's, see docs/operations.md."""
    with explained(StackError):
        listener = bind(host, SERVICES[service].port if port is None else port)
    serve_here(service, listener, access_log=True, grace=grace)
