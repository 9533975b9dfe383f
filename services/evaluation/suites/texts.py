"""An owner's documents, for the suites that measure the model on running text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from services.evaluation.errors import MissingData
from services.evaluation.suites.drawing import drawn

FEWEST = 200
"""Characters; shorter documents say little of a model."""


@dataclass(frozen=True)
class Document:
    """A document of an owner, whole. `split`: `train` if experts are trained on it, as on a line without a split."""

    id: str
    source: str
    split: str
    text: str


def documents(home: Path, owner: str) -> Iterator[Document]:
    """An owner's documents but for those too short, source by source. Raises MissingData when nothing was pulled."""
    if not (home / "texts").is_dir():
        raise MissingData(f"There are no texts in {home / 'texts'}.")
    for path in sorted((home / "texts" / owner).glob("*.jsonl")):
        with path.open(encoding="utf-8") as lines:
            for row in map(json.loads, lines):
                if len(row["text"]) >= FEWEST:
                    yield Document(row["id"], path.stem, row.get("split") or "train", row["text"])


def held_out(home: Path, owner: str, *, limit: int, seed: int, characters: int) -> dict[str, str]:
    """At most `limit` documents outside the training split by id, each cut at a space to so many characters.

    Drawn by the seed: a smaller limit gives the first of a larger one's. Raises MissingData when nothing was pulled.
    """
    found = {one.id: cut(one.text, characters) for one in documents(home, owner) if one.split != "train"}
    return {identity: found[identity] for identity in drawn(found, seed, str)[:limit]}


def cut(text: str, characters: int) -> str:
    """The beginning of a text, at most so many characters of it, up to a space."""
    return text if len(text) <= characters else text[:characters].rsplit(maxsplit=1)[0]
