"""One service under uvicorn, in this process."""

from __future__ import annotations

import socket

import uvicorn

from gateway.embedded.layout import SERVICES

GRACE_SECONDS = 3
"""How long requests under way may take to end once the process was told to stop."""


def serve(service: str, listener: socket.socket, *, access_log: bool) -> None:
    """Serve on a bound socket until SIGTERM or SIGINT. The app is imported here and nowhere else."""
    config = uvicorn.Config(
        SERVICES[service].factory,
        factory=True,
        access_log=access_log,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    uvicorn.Server(config).run(sockets=[listener])
