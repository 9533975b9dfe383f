"""An OpenAI-compatible endpoint that answers at once: `python -m bench.evaluation_endpoint PORT`.

Nothing of Candor is in it. It is right on two questions of three closed book, and on more with retrieval.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from typing import Any

_LENGTH = re.compile(rb"content-length: *(\d+)", re.I)
_NUMBER = re.compile(r"house (\d+)")
_FILLER = "The doors of that street were painted in the order in which the families had moved in. " * 6


def completion(body: dict[str, Any]) -> dict[str, Any]:
    """The answer to a question on a house, of some 600 characters, with Candor's report of what was read."""
    found = _NUMBER.search(body["messages"][-1]["content"])
    house, retrieval = int(found[1]) if found else 0, bool(body.get("candor", {}).get("retrieval", True))
    right = house % (9 if retrieval else 3) > 0
    text = f"{_FILLER}It is {'blue' if right else 'grey'} number {house}."
    passages = [{"document": f"street:{house // 5}", "owner": "encyclopedia"}] if retrieval else []
    return {
        "choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"completion_tokens": len(text.split())},
        "candor": {"passages": passages, "owners": {"effective": ["encyclopedia"]}, "failed": []},
    }


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection, kept alive."""
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = _LENGTH.search(head)
            content = await reader.readexactly(int(length[1])) if length else b""
            answer: dict[str, Any] = completion(json.loads(content)) if content else {"data": [{"id": "candor"}]}
            sent = json.dumps(answer).encode()
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(sent))
            writer.write(sent)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main(port: int) -> None:
    """Until it is killed."""
    server = await asyncio.start_server(serve, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
