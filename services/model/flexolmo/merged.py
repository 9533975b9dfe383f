"""A merged checkpoint as it is on disk: which anchor it was made from, and what an expert starts from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open
from torch import Tensor

from services.model.flexolmo.anchor import read_config
from services.model.flexolmo.deltas import PROJECTIONS
from services.model.flexolmo.families import family_of
from shared.contracts.model import PUBLIC


@dataclass(frozen=True)
class Origin:
    """The anchor that a merged checkpoint was made from. `public`: its experts, the first of the checkpoint's."""

    folder: Path
    """The merged checkpoint's."""
    sha256: str
    architecture: str
    public: int


def origin(folder: Path) -> Origin | None:
    """What a merged checkpoint says of its anchor; None when it does not say which it was."""
    file = folder / "candor.json"
    if not file.is_file():
        return None
    card = json.loads(file.read_text(encoding="utf-8"))
    sha256 = card.get("anchor_sha256")
    if not isinstance(sha256, str):
        return None
    entries = card["experts"]
    public = next((i for i, entry in enumerate(entries) if not _is_public(entry)), len(entries))
    # the first merges were all of a Llama, and did not say so
    return Origin(folder, sha256, card.get("anchor_architecture", "llama"), public)


def most_active(folder: Path) -> int | None:
    """How many experts a token was to have at most, which a merge cuts to how many there are; None if not said."""
    file = folder / "candor.json"
    said = json.loads(file.read_text(encoding="utf-8")).get("most_experts_per_token") if file.is_file() else None
    return said if isinstance(said, int) else None


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


def _is_public(entry: Mapping[str, Any]) -> bool:
    """Whether an expert of candor.json is the anchor's; the first merges did not say so, their anchor had just one."""
    return bool(entry.get("public", entry["id"] == PUBLIC))
