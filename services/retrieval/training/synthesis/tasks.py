"""What is to be synthesised: a passage, a kind, and lengths, the same at every start."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from services.retrieval.datastore.passages import Passage
from services.retrieval.training.pool import Pool
from services.retrieval.training.split import held_out
from services.retrieval.training.synthesis.prompts import VERSION

Kind = Literal["varied", "hard"]

KINDS: tuple[Kind, ...] = ("varied", "hard")

_LEAST_WORDS = 100
"""In a shorter passage there is too little to reason about."""

_QUERY_WORDS = (10, 30, 80, 200, 400)
_DOCUMENT_WORDS = (300, 2000)
_NEGATIVE_WORDS = 300


@dataclass(frozen=True)
class Task:
    """One pair to make. Lengths in words; those of query and document are of kind `varied` alone."""

    id: str
    kind: Kind
    owner: str
    passage: Passage
    query_words: int
    document_words: int
    negative_words: int


def tasks(pool: Pool, kinds: Sequence[Kind], *, held: float, count: int, seed: int = 0) -> list[Task]:
    """At most `count`, the kinds in turn, each of a passage of a document of its own that is not held out."""
    draw = random.Random(seed)
    places = [key for key in sorted(pool.rows) if not held_out(key[1], held)]
    draw.shuffle(places)
    made: list[Task] = []
    for owner, document in places:
        long = [row for row in pool.rows[owner, document] if len(pool.passages[row].text.split()) >= _LEAST_WORDS]
        if long and len(made) < count:
            made.append(_task(kinds[len(made) % len(kinds)], owner, pool.passages[draw.choice(long)]))
    return made


def left(tasks: Sequence[Task], done: Collection[str]) -> list[Task]:
    """Those that are not done."""
    return [task for task in tasks if task.id not in done]


def _task(kind: Kind, owner: str, passage: Passage) -> Task:
    identity = hashlib.sha256("\0".join((VERSION, kind, owner, passage.id, passage.text)).encode()).hexdigest()[:16]
    draw = random.Random(identity)
    words = draw.randint(*_DOCUMENT_WORDS)
    likeness = words if kind == "varied" else max(_NEGATIVE_WORDS, len(passage.text.split()))
    return Task(identity, kind, owner, passage, draw.choice(_QUERY_WORDS), words, likeness)
