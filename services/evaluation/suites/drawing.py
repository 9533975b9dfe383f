"""What a run draws from its seed, the same at every time and on every machine."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from pydantic import BaseModel

One = TypeVar("One")


def drawn(some: Iterable[One], seed: int, identity: Callable[[One], str]) -> list[One]:
    """All of them in the order that the seed gives: fewer of them are the first of more."""
    return sorted(some, key=lambda one: _draw(seed, identity(one)))


def item_seed(seed: int, question: str) -> int:
    """The sampling seed of a question, from the run's: the same under every setting."""
    return int(_draw(seed, "sampling:" + question)[:8], 16) >> 1


def digest(questions: Sequence[BaseModel]) -> str:
    """SHA-256 over the questions as they were used, in their order."""
    content = hashlib.sha256()
    for question in questions:
        content.update(question.model_dump_json().encode() + b"\n")
    return content.hexdigest()


def _draw(seed: int, identity: str) -> str:
    return hashlib.sha256(f"{seed}:{identity}".encode()).hexdigest()
