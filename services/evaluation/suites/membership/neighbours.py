"""Texts like a text: some of its words replaced by others that the public model holds probable there.

Mattern et al. (2023) let a masked language model propose the words. None comes with the packages that Candor installs,
so the served model itself does, which sees only what is before a word: its proposals fit what follows less well, which
makes every neighbour less probable, a member's and a non-member's alike.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.evaluation.endpoint import Endpoint
from services.evaluation.suites.base import BadAnswer

SHARE = 0.1
"""Of the words that can be replaced, so many are in each neighbour, but at least one."""

CANDIDATES = 10
"""The most probable tokens at each place, of which those that are words are proposed."""


@dataclass(frozen=True)
class Place:
    """A word of a text, from character `start`, and others for it."""

    start: int
    word: str
    others: tuple[str, ...]


async def proposals(endpoint: Endpoint, text: str, public: Sequence[str], item: str) -> list[Place]:
    """The words that can be replaced, in one call, by the public experts. Raises EndpointError or BadAnswer."""
    body = {
        "model": "candor", "prompt": text, "echo": True, "max_tokens": 0, "logprobs": CANDIDATES, "temperature": 0,
        "candor": {"owners": {"include": list(public)}},
    }  # fmt: skip
    reply = await endpoint.post("/v1/completions", body, item=item)
    try:
        found = reply.body["choices"][0]["logprobs"]
        return places(text, found["tokens"], found["top_logprobs"], found["text_offset"])
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise BadAnswer(f"these are no echoed log-probabilities: {str(reply.body)[:200]}") from error


def places(
    text: str, tokens: Sequence[str], tops: Sequence[Mapping[str, Any] | None], offsets: Sequence[int]
) -> list[Place]:
    """Every token that is a word by itself (a space, then letters, then no more letters), with other such tokens."""
    found = []
    for token, top, start in zip(tokens, tops, offsets, strict=True):
        end = start + len(token)
        whole = text[start:end] == token and _is_word(token) and not text[end : end + 1].isalnum()
        if whole and top is not None:
            others = tuple(other for other in top if _is_word(other) and other.lower() != token.lower())
            if others:
                found.append(Place(start, token, others))
    return found


def neighbours(text: str, found: Sequence[Place], count: int, seed: int) -> list[str]:
    """So many texts, drawn by the seed; none of a text without a word that can be replaced."""
    if not found:
        return []
    draw, size = random.Random(seed), max(1, round(SHARE * len(found)))
    return [_replaced(text, draw.sample(found, size), draw) for _ in range(count)]


def _replaced(text: str, chosen: Sequence[Place], draw: random.Random) -> str:
    # from the end, so that the places before stay where they are
    for place in sorted(chosen, key=lambda one: -one.start):
        text = text[: place.start] + draw.choice(place.others) + text[place.start + len(place.word) :]
    return text


def _is_word(token: str) -> bool:
    return token.startswith(" ") and token[1:].isalpha()
