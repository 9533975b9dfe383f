"""A stack's child: `python -m gateway.embedded.child SERVICE FD` serves on the bound socket it inherits.

Its standard input is a pipe that only the parent holds open. When the parent goes, however it goes (`kill -9`
included), the pipe ends and so does the child: no service is ever left behind.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time

from gateway.embedded.serve import GRACE_SECONDS, serve


def main() -> None:
    """Serve until told to stop, or until the parent is gone."""
    service, descriptor = sys.argv[1], int(sys.argv[2])
    threading.Thread(target=_end_with_parent, daemon=True, name="parent-watch").start()
    serve(service, socket.socket(fileno=descriptor), access_log=False)


def _end_with_parent() -> None:
    # the bare descriptor: a thread inside `sys.stdin` would abort the interpreter's shutdown
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    # a load in native code may hold the interpreter's signal handling up for longer than anyone waits
    time.sleep(2 * GRACE_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    main()
