"""The passages the model reads: searched for among the effective owners alone, and cut to what fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gateway.policy import Consent
from shared.clients.retrieval import RetrievalClient
from shared.contracts.candor import ReadPassage, RetrievalOptions, Stage
from shared.contracts.openai import Message
from shared.contracts.retrieval import FailedAssistance, SearchRequest

BYTES_PER_TOKEN = 2.5
"""Bytes of UTF-8 in a token, taken low: a passage cut too short is better than a prompt refused."""
SHORTEST = 30
"""Words from which the beginning of a passage is worth reading."""


@dataclass(frozen=True)
class Retrieved:
    """The passages, best first; the rewritten query they were found by, if there is one; what the language model took
    for either, in milliseconds, and the stages that it failed."""

    passages: Sequence[ReadPassage] = ()
    rewrite: str | None = None
    spent: Mapping[Stage, float] = field(default_factory=dict)
    failed: Sequence[FailedAssistance] = ()


async def retrieve(query: str, options: RetrievalOptions, consent: Consent, client: RetrievalClient) -> Retrieved:
    """The k best passages. Raises ServiceError, ConsentNotApplied."""
    found = await client.search(
        SearchRequest(
            query=query,
            datastore=options.datastore,
            index=options.index,
            k=options.k,
            candidates=max(options.candidates, options.k),
            owners=[*consent.effective],
            rewrite=options.rewrite,
            rerank=options.rerank,
        )
    )
    passages = found.results[0]
    consent.check("retrieval", [*found.owners, *(passage.owner for passage in passages)])
    return Retrieved(
        [
            ReadPassage(n=rank, **passage.model_dump(exclude={"start", "end"}))
            for rank, passage in enumerate(passages, 1)
        ],
        found.rewrites[0] if found.rewrites else None,
        {"rewrite": found.timings.rewrite, "rerank": found.timings.rerank},
        found.failed,
    )


def fitting(passages: Sequence[ReadPassage], messages: Sequence[Message], room: int) -> list[ReadPassage]:
    """The best passages that fit beside the messages into `room` tokens; the last may be cut at a word."""
    left = room * BYTES_PER_TOKEN - sum(_bytes(message.text()) for message in messages)
    kept: list[ReadPassage] = []
    for passage in passages:
        text = _cut(passage.text, left)
        if len(text.split()) < min(SHORTEST, len(passage.text.split())):
            break
        kept.append(passage.model_copy(update={"text": text}))
        left -= _bytes(text)
    return kept


def _cut(text: str, limit: float) -> str:
    """The longest beginning of at most `limit` bytes that ends with a word."""
    if _bytes(text) <= limit:
        return text
    head = text.encode()[: max(0, int(limit))].decode(errors="ignore")
    return head[: len(head) - len(head.split()[-1])].rstrip() if head.split() else ""


def _bytes(text: str) -> int:
    return len(text.encode())
