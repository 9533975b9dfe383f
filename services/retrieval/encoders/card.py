"""What is known of an encoder before its weights are loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from services.retrieval.encoders.recipe import PLAIN, Recipe


@dataclass(frozen=True)
class Card:
    """`revision` changes whenever the vectors would. `recipe` is None where no model runs."""

    name: str
    folder: Path
    revision: str
    dimension: int
    max_tokens: int
    recipe: Recipe | None = PLAIN
