"""Tiny random checkpoints of the three architectures, and transformers models with experts physically removed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import (
    FlexOlmoConfig,
    FlexOlmoForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
    OlmoeConfig,
    OlmoeForCausalLM,
)

ARCHITECTURES = ("mixtral", "olmoe", "flex_olmo")
EXPERTS = 4
VOCABULARY = 320

# vLLM's attention on a CPU wants heads of 32 or more
_SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 128,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "initializer_range": 0.15,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def build(architecture: str, *, experts: int = EXPERTS, top_k: int = 2, seed: int = 0) -> Any:
    """A random model in fp32. OLMoE normalises the chosen weights here and FlexOlmo does not: vLLM's does neither."""
    torch.manual_seed(seed)
    sizes = _SIZES | {"num_experts_per_tok": top_k}
    if architecture == "mixtral":
        model: Any = MixtralForCausalLM(MixtralConfig(**sizes, num_local_experts=experts))
    elif architecture == "olmoe":
        model = OlmoeForCausalLM(OlmoeConfig(**sizes, num_experts=experts, norm_topk_prob=True))
    else:
        model = FlexOlmoForCausalLM(FlexOlmoConfig(**sizes, num_experts=experts, norm_topk_prob=False))
    for module in model.modules():
        if type(module).__name__.endswith("TopKRouter"):
            nn.init.normal_(module.weight, std=0.3)
    return model.eval()


def prune(architecture: str, model: Any, keep: Iterable[int]) -> Any:
    """A new model that has only these experts, with k = min(k, kept)."""
    kept = sorted(keep)
    top_k = min(model.config.num_experts_per_tok, len(kept))
    pruned = build(architecture, experts=len(kept), top_k=top_k)
    state = {
        name: tensor[kept] if ".experts." in name or name.endswith("mlp.gate.weight") else tensor
        for name, tensor in model.state_dict().items()
    }
    pruned.load_state_dict(state)
    return pruned


def poison(model: Any, experts: Iterable[int]) -> None:
    """Set everything of these experts to NaN, their router rows too."""
    for name, parameter in model.named_parameters():
        if ".experts." in name or name.endswith("mlp.gate.weight"):
            for expert in experts:
                parameter.data[expert] = float("nan")


def save(model: Any, directory: Path, owners: dict[int, str]) -> Path:
    """A checkpoint in which these experts have owners and the others are public."""
    model.save_pretrained(directory)
    experts = [{"id": owners.get(e, "public"), **({"owner": owners[e]} if e in owners else {})} for e in range(EXPERTS)]
    (directory / "candor.json").write_text(json.dumps({"experts": experts}))
    return directory
