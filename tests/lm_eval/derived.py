"""A checkpoint's first layers with some of its experts: physically without the others, for plain transformers."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file

_EXPERT = re.compile(r"(.*\.experts\.)(\d+)(\..*)")
_LAYER = re.compile(r"model\.layers\.(\d+)\.")


def derived(source: Path, into: Path, *, layers: int, experts: Sequence[int]) -> Path:
    """Write the Mixtral checkpoint `source` to `into` with its first layers and these experts, in their order."""
    into.mkdir()
    for file in source.iterdir():
        if file.is_file() and file.suffix != ".safetensors":
            shutil.copy(file, into)
    config = json.loads((source / "config.json").read_text())
    active = min(config["num_experts_per_tok"], len(experts))
    config |= {"num_hidden_layers": layers, "num_local_experts": len(experts), "num_experts_per_tok": active}
    (into / "config.json").write_text(json.dumps(config))
    card = json.loads((source / "candor.json").read_text())
    card["experts"] = [card["experts"][expert] for expert in experts]
    (into / "candor.json").write_text(json.dumps(card))
    kept = {}
    with safe_open(source / "model.safetensors", "pt") as weights:
        for name in weights.keys():  # noqa: SIM118  it has keys, but is not their iterator
            if (layer := _LAYER.match(name)) and int(layer[1]) >= layers:
                continue
            if of_expert := _EXPERT.match(name):
                if int(of_expert[2]) not in experts:
                    continue
                new = f"{of_expert[1]}{experts.index(int(of_expert[2]))}{of_expert[3]}"
                kept[new] = weights.get_tensor(name)
            else:
                tensor = weights.get_tensor(name)
                kept[name] = tensor[list(experts)].contiguous() if name.endswith(".gate.weight") else tensor
    save_file(kept, into / "model.safetensors", {"format": "pt"})
    return into
