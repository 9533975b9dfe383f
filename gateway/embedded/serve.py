"""One service under uvicorn, in this process."""

from __future__ import annotations

import socket

import uvicorn

from gateway.embedded.layout import SERVICES

GRACE_SECONDS = 3
"""How long requests under way may take to end once a whole stack was told to stop."""


def serve(service: str, listener: socket.socket, *, access_log: bool, grace: int = GRACE_SECONDS) -> None:
    """Serve on a bound socket until SIGTERM or SIGINT. The app is imported here and nowhere else.

    Then connections are refused, and requests under way have `grace` seconds to end before they are cut off.
    """
    config = uvicorn.Config(
        SERVICES[service].factory,
        factory=True,
        access_log=access_log,
        timeout_graceful_shutdown=grace,
    )
    uvicorn.Server(config).run(sockets=[listener])
