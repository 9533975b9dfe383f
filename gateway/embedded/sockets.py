"""Listening sockets, bound before a process starts, so that no port is lost between choosing and using it."""

from __future__ import annotations

import errno
import socket

from gateway.embedded.faults import PortRefused, PortTaken


def bind(host: str, port: int) -> socket.socket:
    """A bound socket that does not listen yet: until its service does, connections are refused at once.

    Port 0 takes any free one. Raises PortTaken or PortRefused.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (socket.gaierror, OverflowError) as error:
        raise PortRefused(host, port, str(error)) from error
    bound = socket.socket(family, kind, protocol)
    try:
        # with SO_REUSEADDR a port can be had again at once after its service ended; but set before a free port is
        # chosen, it lets two sockets get the same one
        if port:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    except (OSError, OverflowError) as error:
        bound.close()
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise PortTaken(host, port) from error
        raise PortRefused(host, port, str(error)) from error
    return bound


def url(bound: socket.socket) -> str:
    """The address under which a bound socket is reached from this machine."""
    host, port = bound.getsockname()[:2]
    local = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{local}]:{port}" if ":" in local else f"http://{local}:{port}"
