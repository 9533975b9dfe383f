"""A merged checkpoint as it is on disk: which anchor it was made from, and what an expert starts from."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import safe_open
from torch import Tensor

from services.model.flexolmo.anchor import read_config
from services.model.flexolmo.deltas import PROJECTIONS
from services.model.flexolmo.families import family_of


def anchor_sha256(folder: Path) -> str | None:
    """The hash of the anchor that a merged checkpoint was made from; None when it does not say."""
    card = folder / "candor.json"
    if not card.is_file():
        return None
    said = json.loads(card.read_text(encoding="utf-8")).get("anchor_sha256")
    return said if isinstance(said, str) else None


def expert_file(folder: Path, owner: str) -> Path:
    """Where a merged checkpoint has an owner's own file, if it is of low rank: an engine may compute it as that."""
    return folder / "experts" / f"{owner}.safetensors"


class StoredExperts:
    """The experts of a checkpoint, read one layer of one expert at a time, in the dtype they are stored in."""

    def __init__(self, folder: Path) -> None:
        """Raises FileNotFoundError and UnsupportedAnchor as `read_config` does."""
        self._form = family_of(read_config(folder), folder).form
        self._files: dict[str, Path] = {}
        for file in sorted(folder.glob("*.safetensors")):
            with safe_open(file, framework="pt") as stored:
                self._files |= dict.fromkeys(stored.keys(), file)

    def layer(self, index: int, expert: int) -> dict[str, Tensor]:
        """Its `gate`, `up` and `down` in a layer, (out, in), and its `router` row, (hidden,). Raises KeyError."""
        weights = {name: self._tensor(self._form.weight(index, expert, name)) for name in PROJECTIONS}
        return weights | {"router": self.router(index, expert)}

    def router(self, index: int, expert: int) -> Tensor:
        """Its router row in a layer, (hidden,). Raises KeyError."""
        return self._tensor(self._form.router(index))[expert]

    def _tensor(self, name: str) -> Tensor:
        with safe_open(self._files[name], framework="pt") as stored:
            tensor: Tensor = stored.get_tensor(name)
        return tensor
