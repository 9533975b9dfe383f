"""How much one request may ask for, so that none takes minutes of what all share."""

from __future__ import annotations

from collections.abc import Sequence

from services.retrieval.errors import QueriesTooLong, TooManyPassages, TooManyTokens, TooMuchWork
from shared.contracts.retrieval import SearchRequest

PASSAGES_AT_ONCE = 5000
"""An answer of so many passages is some megabytes of JSON, which the event loop has to send."""

EMBEDDED_AT_ONCE = 2000
"""Passages that a search may embed: about a minute of a core with MiniLM, which takes 33 ms for one of 212 tokens."""

SCORED_AT_ONCE = 200_000
"""Candidates of all queries: some seconds of reading their vectors."""

TOKENS_AT_ONCE = 300_000
"""Of all texts that are to be embedded: as many as OpenAI's embeddings take."""


CHARACTERS_AT_ONCE = 200_000
"""Of all queries of a search: more than a second of cutting them into words and counting these."""


def check_answer(request: SearchRequest) -> None:
    """Raises TooManyPassages for an answer that is too large, QueriesTooLong for queries that are."""
    queries = len(request.texts())
    if (characters := sum(map(len, request.texts()))) > CHARACTERS_AT_ONCE:
        raise QueriesTooLong(characters, CHARACTERS_AT_ONCE)
    if request.k * queries > PASSAGES_AT_ONCE:
        raise TooManyPassages(request.k, queries, PASSAGES_AT_ONCE)


def check_work(request: SearchRequest, *, stored: bool) -> None:
    """Raises TooMuchWork for a search that may embed or score too many passages.

    `stored`: the vectors of all segments searched are on disk. Without them `diversity` embeds every candidate.
    """
    name = "recompute" if request.index == "leann" else "candidates"
    each = max(getattr(request, name), request.k)
    field = name if each > request.k else "k"
    embeds = request.index == "leann" or (request.diversity > 0 and not stored)
    limit = EMBEDDED_AT_ONCE if embeds else SCORED_AT_ONCE
    queries = len(request.texts())
    if each * queries > limit:
        raise TooMuchWork(field, each, queries, "embed" if embeds else "score", limit)


def check_tokens(field: str, counts: Sequence[int]) -> None:
    """Raises TooManyTokens for texts with these numbers of tokens."""
    if sum(counts) > TOKENS_AT_ONCE:
        raise TooManyTokens(field, sum(counts), TOKENS_AT_ONCE)
