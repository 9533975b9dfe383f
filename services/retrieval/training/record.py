"""What an encoder was trained on, written beside it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Self

from services.retrieval.encoders.base import Card
from services.retrieval.training.pairs import Pair
from services.retrieval.training.split import held_out

FILE = "training.json"


@dataclass(frozen=True)
class Recipe:
    """How to train. `batch` queries share their passages as negatives; `mini_batch` of them are in memory at once."""

    steps: int
    batch: int
    mini_batch: int
    max_tokens: int
    learning_rate: float = 2e-5
    scale: float = 50.0
    seed: int = 0


@dataclass(frozen=True)
class Record:
    """Of one run. `digest` is of the pairs in their order; `held` the share of documents that none of them is of."""

    base: str
    base_revision: str
    owners: list[str]
    licences: list[str]
    pairs: int
    digest: str
    held: float
    recipe: Recipe

    @classmethod
    def of(cls, base: Card, pairs: Sequence[Pair], recipe: Recipe) -> Self:
        """The record of a run."""
        digest = hashlib.sha256()
        for pair in pairs:
            digest.update(json.dumps(asdict(pair)).encode())
        return cls(
            base=base.name,
            base_revision=base.revision,
            owners=sorted({pair.owner for pair in pairs}),
            licences=sorted({pair.licence for pair in pairs}),
            pairs=len(pairs),
            digest=digest.hexdigest(),
            # the documents held out by a smaller share are among those held out by a larger
            held=min(pair.held for pair in pairs),
            recipe=recipe,
        )

    def saw(self, owner: str, document: str) -> bool:
        """Whether the document may be in the training data."""
        return owner in self.owners and not held_out(document, self.held)

    def json(self) -> str:
        """As it is stored."""
        return json.dumps(asdict(self), indent=2)

    def write(self, folder: Path, losses: Sequence[float]) -> None:
        """Write it into the encoder's folder, with the losses, and a README in words."""
        (folder / FILE).write_text(json.dumps(asdict(self) | {"losses": list(losses)}, indent=2), encoding="utf-8")
        (folder / "README.md").write_text(
            f"An encoder fine-tuned from {self.base} by `candor retriever train` on {self.pairs} pairs.\n"
            f"Its training data is of these owners alone: {', '.join(self.owners)}; "
            f"licences: {', '.join(self.licences)}.\n",
            encoding="utf-8",
        )


def read_record(folder: Path) -> Record | None:
    """What an encoder was trained on; None if nothing is written beside it."""
    try:
        row = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return Record(**{field.name: row[field.name] for field in fields(Record)} | {"recipe": Recipe(**row["recipe"])})
