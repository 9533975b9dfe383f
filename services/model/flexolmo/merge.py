"""Merge an anchor and its owners' experts into one mixture of experts that plain transformers and vLLM load.

First come the anchor's own experts (of a dense anchor one, its FFN), which are public, then the owners' in the
order given, each the expert it started from plus its delta. An owner's router row is that expert's row plus what
its training added; in a dense anchor's training the public logit was 0, so there the public row is of zeros. No
joint training follows (FlexOlmo's merge). What is the anchor's stays bit for bit. Leaving an owner out is merging
without its file. ``candor.json`` beside ``config.json`` says who is who.
"""

import json
import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from services.model.flexolmo.anchor import Fingerprint, fingerprint, read_config
from services.model.flexolmo.deltas import PROJECTIONS
from services.model.flexolmo.expert import FULL, Expert, read_expert
from services.model.flexolmo.families import Family, MixtureConfig, UnsupportedAnchor, family_of
from services.model.flexolmo.merged import expert_file
from services.model.flexolmo.verify import check_anchor, check_shapes
from shared.contracts.model import PUBLIC

_COPIED = ("tokenizer*", "chat_template*", "special_tokens_map.json", "vocab.json", "merges.txt", "generation_*")


def merge(anchor: Path, experts: Sequence[Path], out: Path, k: int | None = None) -> Path:
    """Write the mixture of the checkpoint ``anchor`` and the expert files to ``out``; returns ``out``.

    ``k`` experts work on each token (cut to how many there are); by default `families.K` on a dense anchor, and
    as many as in the anchor itself on a mixture. Weights keep the anchor's dtype. The folder appears whole or not
    at all. Raises WrongAnchor, BrokenExpert, UnsupportedAnchor, and ValueError for two experts of one owner or k < 1.
    """
    if k is not None and k < 1:
        raise ValueError("k must be at least 1.")
    config, anchor_print = read_config(anchor), fingerprint(anchor)
    loaded = [read_expert(file) for file in experts]
    for expert in loaded:
        check_anchor(expert, anchor_print)
        check_shapes(expert, config)
    owners = [expert.owner for expert in loaded]
    if len(set(owners)) < len(owners) or PUBLIC in owners:
        raise ValueError(f"Each owner can have one expert, and none is called {PUBLIC}: {', '.join(owners)}.")

    family = family_of(config, anchor)
    mixture = _Mixture(family, family.experts(config), config, loaded, family.active(config) if k is None else k)
    # a folder of its own, so that two merges at once never write into each other's
    part = out.with_name(f"{out.name}.{secrets.token_hex(4)}.part")
    part.mkdir(parents=True)
    try:
        mixture.write(anchor, anchor_print, part)
        if family.dense:
            _keep(experts, loaded, part)
        shutil.rmtree(out, ignore_errors=True)
        os.replace(part, out)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return out


def _keep(files: Sequence[Path], experts: Sequence[Expert], folder: Path) -> None:
    """Copy the files of low-rank experts beside the weights, which no longer say what the rank was."""
    for file, expert in zip(files, experts, strict=True):
        if expert.rank is not None:
            copy = expert_file(folder, expert.owner)
            copy.parent.mkdir(exist_ok=True)
            shutil.copyfile(file, copy)


def join(expert: Expert, layer: int, base: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What an expert brings to a layer of a mixture: `gate`, `up`, `down`, (out, in), and its `router` row, (hidden,).

    ``base`` has the same of the expert it started from (`Expert.base`), as stored; without a row it is a row of
    zeros, a dense anchor's. Each sum is rounded once, to the dtype of what it is added to.
    """
    added = {name: expert.delta(layer, name) for name in PROJECTIONS} | {"router": expert.router(layer)}
    zeros = {"router": torch.zeros_like(added["router"], dtype=base["gate"].dtype)}
    return {name: (weight.float() + added[name]).to(weight.dtype) for name, weight in (zeros | dict(base)).items()}


@dataclass(frozen=True)
class _Mixture:
    """What is merged: an anchor's family and configuration, its own experts, and the owners'."""

    family: Family
    public: int
    """Experts of the anchor."""
    anchor: Any
    experts: Sequence[Expert]
    k: int

    def write(self, anchor: Path, anchor_print: Fingerprint, folder: Path) -> None:
        """Configuration, weights, tokenizer and card."""
        config = self.family.merged(self.anchor, self.public + len(self.experts), self.k)
        config.save_pretrained(folder)
        stored: dict[str, Tensor] = {}
        for file in sorted(anchor.glob("*.safetensors")):
            stored |= load_file(file)
        try:
            tensors = self._dense(stored) if self.family.dense else self._mixture(stored)
        except KeyError as error:
            raise UnsupportedAnchor(f"{anchor} names its weights otherwise: it has no {error.args[0]}.") from error
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        for pattern in _COPIED:
            for file in anchor.glob(pattern):
                shutil.copy2(file, folder / file.name)
        card = json.dumps(self._card(config, anchor_print), indent=2)
        (folder / "candor.json").write_text(card + "\n", encoding="utf-8")

    def _dense(self, dense: dict[str, Tensor]) -> dict[str, Tensor]:
        """The anchor's tensors with its FFNs under the names of a mixture's expert 0, and the owners'."""
        form = self.family.form
        merged = {name: tensor for name, tensor in dense.items() if ".mlp." not in name}
        for i in range(self.anchor.num_hidden_layers):
            for projection in PROJECTIONS:
                merged[form.weight(i, 0, projection)] = dense[f"model.layers.{i}.mlp.{projection}_proj.weight"]
            gate = merged[form.weight(i, 0, "gate")]
            merged[form.router(i)] = torch.zeros(1, self.anchor.hidden_size, dtype=gate.dtype)
        return self._mixture(merged)

    def _mixture(self, merged: dict[str, Tensor]) -> dict[str, Tensor]:
        """The tensors of a mixture, and the owners' experts after its own."""
        form = self.family.form
        for i in range(self.anchor.num_hidden_layers):
            rows = merged[form.router(i)]
            for number, expert in enumerate(self.experts, start=self.public):
                base = {name: merged[form.weight(i, expert.base[i], name)] for name in PROJECTIONS}
                weights = join(expert, i, base | {"router": merged[form.router(i)][expert.base[i]]})
                merged |= {form.weight(i, number, name): weights[name] for name in PROJECTIONS}
                rows = torch.cat([rows, weights["router"].unsqueeze(0)])
            merged[form.router(i)] = rows
        return merged

    def _card(self, config: MixtureConfig, anchor_print: Fingerprint) -> dict[str, Any]:
        public = [{"id": f"{PUBLIC}-{i}" if i else PUBLIC, "public": True} for i in range(self.public)]
        owned = [
            {"id": e.owner, "owner": e.owner, "licence": e.licence, "rank": e.rank or FULL, **e.card}
            for e in self.experts
        ]
        return {
            "anchor_sha256": anchor_print.sha256,
            "anchor_architecture": self.anchor.model_type,
            "architecture": self.family.form.architecture,
            "experts": public + owned,
            "experts_per_token": config.num_experts_per_tok,
            # more than there are, perhaps: experts may join the running model
            "most_experts_per_token": self.k,
        }
