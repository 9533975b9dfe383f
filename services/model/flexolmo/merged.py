"""A merged checkpoint as it is on disk: which anchor it was made from, and its public expert."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import safe_open
from torch import Tensor

_NAMES = (
    ("block_sparse_moe", {"gate": "w1", "up": "w3", "down": "w2"}),
    ("mlp", {"gate": "gate_proj", "up": "up_proj", "down": "down_proj"}),
)
"""How checkpoints call a layer's mixture and an expert's projections: Mixtral's, and OLMoE's and FlexOlmo's."""


def anchor_sha256(folder: Path) -> str | None:
    """The hash of the anchor that a merged checkpoint was made from; None when it does not say."""
    card = folder / "candor.json"
    if not card.is_file():
        return None
    said = json.loads(card.read_text(encoding="utf-8")).get("anchor_sha256")
    return said if isinstance(said, str) else None


class PublicExpert:
    """Expert 0 of a checkpoint, read layer by layer in the dtype it is stored in."""

    def __init__(self, folder: Path) -> None:
        self._files: dict[str, Path] = {}
        for file in sorted(folder.glob("*.safetensors")):
            with safe_open(file, framework="pt") as stored:
                self._files |= dict.fromkeys(stored.keys(), file)

    def layer(self, index: int) -> dict[str, Tensor]:
        """Its `gate`, `up` and `down` in a layer, (out, in). Raises KeyError when there is no such layer."""
        for block, projections in _NAMES:
            here = f"model.layers.{index}.{block}.experts.0"
            if f"{here}.{projections['gate']}.weight" in self._files:
                return {name: self._tensor(f"{here}.{short}.weight") for name, short in projections.items()}
        raise KeyError(f"no public expert in layer {index}")

    def _tensor(self, name: str) -> Tensor:
        with safe_open(self._files[name], framework="pt") as stored:
            tensor: Tensor = stored.get_tensor(name)
        return tensor
