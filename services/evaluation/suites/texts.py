"""Documents of an owner that no expert was trained on, for the suites that measure the model on running text."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from services.evaluation.errors import MissingData

FEWEST = 200
"""Characters; shorter documents say little of a model."""


def held_out(home: Path, owner: str, *, limit: int, seed: int, characters: int) -> dict[str, str]:
    """At most `limit` documents outside the training split by id, each cut at a space to so many characters.

    Drawn by the seed: a smaller limit gives the first of a larger one's. Raises MissingData when nothing was pulled.
    """
    if not (home / "texts").is_dir():
        raise MissingData(f"There are no texts in {home / 'texts'}.")
    found: dict[str, str] = {}
    for path in sorted((home / "texts" / owner).glob("*.jsonl")):
        with path.open(encoding="utf-8") as lines:
            for document in map(json.loads, lines):
                if document.get("split") != "train" and len(document["text"]) >= FEWEST:
                    found[document["id"]] = cut(document["text"], characters)
    order = sorted(found, key=lambda identity: hashlib.sha256(f"{seed}:{identity}".encode()).hexdigest())
    return {identity: found[identity] for identity in order[:limit]}


def cut(text: str, characters: int) -> str:
    """The beginning of a text, at most so many characters of it, up to a space."""
    return text if len(text) <= characters else text[:characters].rsplit(maxsplit=1)[0]
