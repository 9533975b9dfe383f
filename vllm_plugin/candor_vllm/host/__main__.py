"""Start the engine, listen, and stop when told to, when the parent goes, or when the engine dies."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

from candor_vllm.host.connection import Connection
from candor_vllm.host.loading import load
from candor_vllm.host.model import Model
from candor_vllm.host.wire import MAX_LINE

GRACE_SECONDS = 10
"""How long vLLM's processes may take to end before they are killed."""

_log = logging.getLogger("candor_vllm.host")


def main() -> None:
    """Serve until stopped; exit code 1 when the engine could not start or died."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    arguments = _arguments()
    # while the model loads there is no loop yet: leave through the interpreter, so that vLLM's processes end too
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    if arguments.with_parent:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.exit(asyncio.run(_serve(arguments)))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="candor_vllm.host", description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="a checkpoint in transformers' format")
    parser.add_argument("--listen", required=True, help="unix:PATH or tcp:HOST:PORT")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--max-length", type=int, help="tokens of prompt and answer; default the model's own")
    parser.add_argument("--max-batch", type=int, default=64, help="samples computed at once")
    parser.add_argument("--vllm", type=json.loads, default={}, help="vLLM's own engine arguments, as a JSON object")
    parser.add_argument("--with-parent", action="store_true", help="stop when standard input ends")
    arguments = parser.parse_args()
    kind, _, where = arguments.listen.partition(":")
    if not where or kind not in ("unix", "tcp") or (kind == "tcp" and not where.rpartition(":")[2].isdecimal()):
        parser.error(f"--listen {arguments.listen!r} is neither unix:PATH nor tcp:HOST:PORT")
    return arguments


async def _serve(arguments: argparse.Namespace) -> int:
    model = load(
        arguments.model,
        dtype=arguments.dtype,
        max_length=arguments.max_length,
        max_batch=arguments.max_batch,
        vllm=arguments.vllm,
    )
    await model.prove()
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    connections: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            connections.add(task)
            task.add_done_callback(connections.discard)
        await Connection(model, reader, writer).serve()

    server = await _listen(arguments.listen, connected)
    _log.info("serving %s on %s", arguments.model, arguments.listen)
    try:
        died = await _until_stopped(model, stopped)
    finally:
        server.close()
        for task in list(connections):
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*connections, return_exceptions=True)
        model.llm.shutdown()
    return 1 if died else 0


Connected = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


async def _listen(address: str, connected: Connected) -> asyncio.Server:
    kind, _, where = address.partition(":")
    if kind == "unix":
        os.umask(0o077)  # whoever can open the socket can use the model
        return await asyncio.start_unix_server(connected, where, limit=MAX_LINE)
    host, _, port = where.rpartition(":")
    return await asyncio.start_server(connected, host.strip("[]"), int(port), limit=MAX_LINE)


async def _until_stopped(model: Model, stopped: asyncio.Event) -> bool:
    """True when it was the engine that ended."""
    while not stopped.is_set():
        if model.llm.errored:
            _log.error("vLLM's engine died; its output above says why")
            return True
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(stopped.wait(), 0.5)
    return False


def _end_with_parent() -> None:
    # the bare descriptor: a thread inside `sys.stdin` would abort the interpreter's shutdown
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


if __name__ == "__main__":
    main()
