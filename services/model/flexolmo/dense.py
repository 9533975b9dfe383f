"""The baseline that needs all owners' text in one place: one dense model trained on the union of it.

It gets what the owners' experts got, together: the same low-rank form with the summed rank (as many trained
parameters), the same schedule, and the very blocks of text that the experts saw, one or more of each owner in
every step. It has no router, and no owner can leave it.
"""

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import AutoTokenizer, LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaMLP

from services.model.flexolmo import checkpoint
from services.model.flexolmo.anchor import WrongAnchor, fingerprint, load_anchor
from services.model.flexolmo.corpus import Blocks, data_hash, read_documents
from services.model.flexolmo.loss import next_token_loss
from services.model.flexolmo.lowrank import PROJECTIONS, LowRankDelta
from services.model.flexolmo.precision import fast_dtype
from services.model.flexolmo.train import Progress, Settings, learning_rate

FORMAT = "candor-dense-1"


class DenseFFN(nn.Module):
    """A frozen FFN with a low-rank delta to each of its three matrices; ``x`` (..., hidden) to the same shape."""

    def __init__(self, public: LlamaMLP, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        hidden, width = public.gate_proj.in_features, public.gate_proj.out_features
        self.public = public
        self.gate = LowRankDelta(width, hidden, rank, generator)
        self.up = LowRankDelta(width, hidden, rank, generator)
        self.down = LowRankDelta(hidden, width, rank, generator)

    def forward(self, x: Tensor) -> Tensor:
        """x (..., hidden) -> (..., hidden), in x's dtype."""
        gate = self.public.gate_proj(x) + self.gate(x)
        inner = F.silu(gate) * (self.public.up_proj(x) + self.up(x))
        out: Tensor = self.public.down_proj(inner) + self.down(inner)
        return out


@dataclass(frozen=True)
class DenseDelta:
    """What a dense training added to the anchor's FFNs, read from its file."""

    card: dict[str, Any]
    tensors: dict[str, Tensor]

    def delta(self, layer: int, projection: str) -> Tensor:
        """What was added to the public weight of a projection, (out, in), fp32."""
        a, b = (self.tensors[f"layers.{layer}.{projection}.{side}"].float() for side in "ab")
        return b @ a


def train_dense(
    anchor: Path,
    texts: Sequence[Path],
    out: Path,
    *,
    settings: Settings,
    resume: Path | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
) -> Path:
    """Train one dense model on the training splits of all folders of ``texts``; writes and returns ``out``.

    ``settings.blocks`` is shared evenly between the owners, so it must be a multiple of their number. Goes on from
    ``resume`` (by default beside ``out``, ending in .training) and ends with the weights an uninterrupted run would
    have had. Raises UnsupportedAnchor, FileNotFoundError for missing text, OtherTraining for a checkpoint of another.
    """
    owners = len(texts)
    if settings.blocks % owners:
        raise ValueError(f"{settings.blocks} blocks a step cannot be shared evenly by {owners} owners.")
    model, tokenizer = load_anchor(anchor, fast_dtype()), AutoTokenizer.from_pretrained(anchor)
    documents = [read_documents(folder, "train") for folder in texts]
    sources = [Blocks(each, tokenizer, settings.block_tokens, settings.seed) for each in documents]
    layers = _attach(model, settings)

    def batch(step: int) -> Tensor:
        return torch.cat([source.batch(step, settings.blocks // owners) for source in sources])

    sha256 = fingerprint(anchor).sha256
    hashes = [data_hash(each) for each in documents]
    identity = {"anchor": sha256, "data": hashes, **asdict(settings)}
    resume = resume or out.with_suffix(".training")
    state = _optimise(model, layers, settings, batch, resume=resume, identity=identity, progress=progress)
    card = {
        "settings": asdict(settings),
        "tokens": settings.tokens,
        "owners": [folder.name for folder in texts],
        "data_sha256": hashes,
        "last_loss": round(sum(state.losses[-10:]) / len(state.losses[-10:]), 4),
        "seconds": round(state.seconds),
    }
    return _write(out, layers, sha256, card)


def read_dense(file: Path, anchor: Path) -> DenseDelta:
    """Read what `train_dense` wrote. Raises WrongAnchor when it was trained on another than ``anchor``."""
    with safe_open(file, framework="pt") as stored:
        metadata = stored.metadata() or {}
        if metadata.get("format") != FORMAT:
            raise ValueError(f"{file} is not a dense baseline ({FORMAT}).")
        tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118  not a mapping
    if metadata["anchor_sha256"] != (here := fingerprint(anchor).sha256):
        raise WrongAnchor(f"{file} was trained on another anchor ({metadata['anchor_sha256'][:12]}, not {here[:12]}).")
    return DenseDelta(json.loads(metadata["card"]), tensors)


def _attach(model: LlamaForCausalLM, settings: Settings) -> list[DenseFFN]:
    generator = torch.Generator().manual_seed(settings.seed)
    layers = [DenseFFN(layer.mlp, settings.rank, generator) for layer in model.model.layers]
    for layer, ffn in zip(model.model.layers, layers, strict=True):
        layer.mlp = ffn
    return layers


def _optimise(
    model: LlamaForCausalLM,
    layers: Sequence[DenseFFN],
    settings: Settings,
    batch: Callable[[int], Tensor],
    *,
    resume: Path,
    identity: dict[str, Any],
    progress: Callable[[Progress], None],
) -> checkpoint.State:
    parameters = list(_trained(layers))
    optimiser = torch.optim.AdamW(parameters, lr=settings.learning_rate, betas=(0.9, 0.95), weight_decay=0.0)
    losses: list[float] = []
    spent = 0.0
    if (state := checkpoint.load(resume, identity)) is not None:
        for parameter, saved in zip(parameters, state.parameters, strict=True):
            parameter.data.copy_(saved)
        optimiser.load_state_dict(state.optimiser)
        losses, spent = list(state.losses), state.seconds
    first, start = len(losses), time.monotonic()
    for step in range(first, settings.steps):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(step, settings)
        loss = next_token_loss(model, batch(step))
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        optimiser.zero_grad()
        losses.append(loss.item())
        each = (time.monotonic() - start) / (step + 1 - first)
        if (step + 1) % 10 == 0 or step + 1 == settings.steps:
            kept = [parameter.detach() for parameter in parameters]
            seconds = spent + time.monotonic() - start
            checkpoint.save(resume, checkpoint.State(identity, kept, optimiser.state_dict(), losses, seconds))
        speed = settings.blocks * settings.block_tokens / each
        progress(Progress(step + 1, settings.steps, losses[-1], 1.0, speed, each * (settings.steps - step - 1)))
    return checkpoint.State(identity, [], {}, losses, spent + time.monotonic() - start)


def _trained(layers: Sequence[DenseFFN]) -> Iterator[nn.Parameter]:
    for layer in layers:
        yield from (parameter for parameter in layer.parameters() if parameter.requires_grad)


def _write(file: Path, layers: Sequence[DenseFFN], anchor_sha256: str, card: dict[str, Any]) -> Path:
    tensors = {
        f"layers.{i}.{name}.{side}": getattr(getattr(layer, name), side).detach().to(torch.bfloat16).contiguous()
        for i, layer in enumerate(layers)
        for name in PROJECTIONS
        for side in "ab"
    }
    metadata = {"format": FORMAT, "anchor_sha256": anchor_sha256, "card": json.dumps(card, sort_keys=True)}
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    save_file(tensors, part, metadata=metadata)
    os.replace(part, file)
    return file
