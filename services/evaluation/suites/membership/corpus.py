"""How frequent each token is in public text, which DC-PDD measures a text's probabilities by."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from pathlib import Path

from services.evaluation.endpoint import Endpoint
from services.evaluation.suites.base import BadAnswer
from services.evaluation.suites.once import Once
from services.evaluation.suites.texts import documents

CHARACTERS = 400_000
"""Of the corpus: some 100,000 tokens."""

_PIECE = 20_000
"""Characters of a request."""

Counts = tuple[Counter[int], int]
"""How often each token occurs, and how many there are."""


def corpus(home: Path, owners: tuple[str, ...]) -> tuple[str, str]:
    """Training documents of public owners, in the order of their ids' hashes, and the SHA-256 of it all."""
    found = [one for owner in owners for one in documents(home, owner) if one.split == "train"]
    found.sort(key=lambda one: hashlib.sha256(one.id.encode()).hexdigest())
    text = "\n\n".join(one.text for one in found)[:CHARACTERS]
    return text, hashlib.sha256(text.encode()).hexdigest()


class Frequencies:
    """Counts by corpus and by the open endpoint, which is a run's own: asked once for each run.

    Another run may find another model behind the same address, whose tokens have other numbers.
    """

    def __init__(self) -> None:
        self._known = Once[Counts]()

    async def of(self, home: Path, owners: tuple[str, ...], digest: str, endpoint: Endpoint, item: str) -> Counts:
        """The tokens of the corpus. Raises EndpointError, and BadAnswer where its text is not what was planned with."""
        return await self._known.get(endpoint, digest, lambda: _counted(home, owners, digest, endpoint, item))


async def _counted(home: Path, owners: tuple[str, ...], digest: str, endpoint: Endpoint, item: str) -> Counts:
    text, now = await asyncio.to_thread(corpus, home, owners)
    if now != digest:
        raise BadAnswer("the public text that tokens are counted in has changed since the run was planned")
    counts: Counter[int] = Counter()
    for start in range(0, len(text), _PIECE):
        counts.update(await tokens(endpoint, text[start : start + _PIECE], item, begins=False))
    return counts, counts.total()


async def tokens(endpoint: Endpoint, text: str, item: str, *, begins: bool) -> list[int]:
    """The tokens of a text; `begins`: with those that the model wants at a text's beginning.

    Raises EndpointError or BadAnswer.
    """
    reply = await endpoint.post("/tokenize", {"prompt": text, "add_special_tokens": begins}, item=item)
    try:
        return [int(one) for one in reply.body["tokens"]]
    except (KeyError, TypeError, ValueError) as error:
        raise BadAnswer(f"these are no tokens: {str(reply.body)[:200]}") from error
