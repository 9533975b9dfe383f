"""Merge a dense anchor and its owners' experts into one mixture of experts that plain transformers loads.

The checkpoint is a MixtralForCausalLM: expert 0 is the public FFN, then the owners' in the order given, each
the public FFN plus its low-rank delta. In an expert's own training the public logit was 0, so the merged
router has a row of zeros for the public expert and each owner's row as it was trained; no joint training
follows (FlexOlmo's merge). Leaving an owner out is merging without its file. ``candor.json`` beside
``config.json`` says who is who.
"""

import json
import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoConfig, LlamaConfig, MixtralConfig

from services.model.flexolmo.anchor import Fingerprint, UnsupportedAnchor, fingerprint
from services.model.flexolmo.expert import Expert, check_anchor, read_expert
from services.model.flexolmo.lowrank import PROJECTIONS

K = 2
"""Experts a token: as good as more of them, at half the work (measured in docs/experts.md)."""
# Mixtral's names of gate, up and down.
_MIXTRAL = {"gate": "w1", "up": "w3", "down": "w2"}
# What a Llama's and a Mixtral's configuration have in common, by the same names and meanings.
_SAME = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "hidden_act",
    "max_position_embeddings",
    "initializer_range",
    "rms_norm_eps",
    "rope_parameters",
    "tie_word_embeddings",
    "pad_token_id",
    "bos_token_id",
    "eos_token_id",
    "dtype",
)
_COPIED = ("tokenizer*", "chat_template*", "special_tokens_map.json", "vocab.json", "merges.txt", "generation_*")


def merge(anchor: Path, experts: Sequence[Path], out: Path, k: int = K) -> Path:
    """Write the mixture of the dense checkpoint ``anchor`` and the expert files to ``out``; returns ``out``.

    ``k`` experts work on each token (cut to how many there are). Weights keep the anchor's dtype. The folder
    appears whole or not at all. Raises WrongAnchor, BrokenExpert, UnsupportedAnchor, and ValueError for two
    experts of one owner or k < 1.
    """
    if k < 1:
        raise ValueError("k must be at least 1.")
    anchor_print = fingerprint(anchor)
    loaded = [read_expert(file) for file in experts]
    for expert in loaded:
        check_anchor(expert, anchor_print)
    owners = [expert.owner for expert in loaded]
    if len(set(owners)) < len(owners) or "public" in owners:
        raise ValueError(f"Each owner can have one expert, and none is called public: {', '.join(owners)}.")

    # a folder of its own, so that two merges at once never write into each other's
    part = out.with_name(f"{out.name}.{secrets.token_hex(4)}.part")
    part.mkdir(parents=True)
    try:
        _write(anchor, anchor_print, loaded, part, k)
        shutil.rmtree(out, ignore_errors=True)
        os.replace(part, out)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return out


def join(expert: Expert, layer: int, public: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What an expert brings to a layer of a mixture: `gate`, `up`, `down`, (out, in), and its `router` row, (hidden,).

    `public` has the public expert's gate, up and down as stored: the sum is rounded once, to their dtype.
    """
    weights = {name: (public[name].float() + expert.delta(layer, name)).to(public[name].dtype) for name in PROJECTIONS}
    return weights | {"router": expert.router(layer).to(public["gate"].dtype)}


def _write(anchor: Path, anchor_print: Fingerprint, experts: Sequence[Expert], folder: Path, k: int) -> None:
    config = _config(anchor, len(experts) + 1, k)
    config.save_pretrained(folder)
    save_file(_tensors(anchor, config, experts), folder / "model.safetensors", metadata={"format": "pt"})
    for pattern in _COPIED:
        for file in anchor.glob(pattern):
            shutil.copy2(file, folder / file.name)
    card = {
        "anchor_sha256": anchor_print.sha256,
        "experts": [{"id": "public"}]
        + [{"id": e.owner, "owner": e.owner, "licence": e.licence, "rank": e.rank, **e.card} for e in experts],
        "experts_per_token": config.num_experts_per_tok,
    }
    (folder / "candor.json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")


def _config(anchor: Path, experts: int, k: int) -> MixtralConfig:
    dense = AutoConfig.from_pretrained(anchor)
    if not isinstance(dense, LlamaConfig) or dense.attention_bias or dense.mlp_bias:
        raise UnsupportedAnchor(f"{anchor} is a {dense.model_type} model; Mixtral's form holds a biasless Llama.")
    return MixtralConfig(
        **{name: getattr(dense, name) for name in _SAME},
        architectures=["MixtralForCausalLM"],
        num_local_experts=experts,
        num_experts_per_tok=min(k, experts),
        sliding_window=None,
    )


def _tensors(anchor: Path, config: MixtralConfig, experts: Sequence[Expert]) -> dict[str, Tensor]:
    dense: dict[str, Tensor] = {}
    for file in sorted(anchor.glob("*.safetensors")):
        dense |= load_file(file)
    merged = {name: tensor for name, tensor in dense.items() if ".mlp." not in name}
    for i in range(config.num_hidden_layers):
        here, moe = f"model.layers.{i}", f"model.layers.{i}.block_sparse_moe"
        public = {name: dense[f"{here}.mlp.{name}_proj.weight"] for name in PROJECTIONS}
        joined = [join(expert, i, public) for expert in experts]
        for number, weights in enumerate([public, *joined]):
            for projection, short in _MIXTRAL.items():
                merged[f"{moe}.experts.{number}.{short}.weight"] = weights[projection]
        nothing = torch.zeros(config.hidden_size, dtype=public["gate"].dtype)
        merged[f"{moe}.gate.weight"] = torch.stack([nothing, *(weights["router"] for weights in joined)])
    return merged
