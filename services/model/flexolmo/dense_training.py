"""The baseline that needs all owners' text in one place: one dense model trained on the union of it.

It gets what the owners' experts got, together: the same low-rank form with the summed rank (as many trained
parameters), the same schedule, and the very blocks of text that the experts saw, one or more of each owner in
every step. It has no router, and no owner can leave it.
"""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoTokenizer

from services.model.flexolmo.anchor import fingerprint, load_anchor
from services.model.flexolmo.checkpoint import OtherTraining
from services.model.flexolmo.corpus import Blocks, data_hash, read_documents
from services.model.flexolmo.dense import DenseFFN, attach_dense, dense_parameters, write_dense
from services.model.flexolmo.families import CausalLM
from services.model.flexolmo.loss import next_token_loss
from services.model.flexolmo.optimise import Progress, learning_rate
from services.model.flexolmo.precision import compute_dtype
from services.model.flexolmo.training import Settings, last_loss


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
    owners, rank = len(texts), settings.rank
    if rank is None:
        raise ValueError("The dense baseline is of low rank, like the experts it stands beside.")
    if settings.blocks % owners:
        raise ValueError(f"{settings.blocks} blocks a step cannot be shared evenly by {owners} owners.")
    model, tokenizer = load_anchor(anchor, compute_dtype()), AutoTokenizer.from_pretrained(anchor)
    documents = [read_documents(folder, "train") for folder in texts]
    sources = [Blocks(each, tokenizer, settings.block_tokens, settings.seed) for each in documents]
    layers = attach_dense(model, rank, settings.seed)

    def batch(step: int) -> list[Tensor]:
        return [source.batch(step, settings.blocks // owners) for source in sources]

    sha256 = fingerprint(anchor).sha256
    hashes = [data_hash(each) for each in documents]
    identity = {"anchor": sha256, "data": hashes, **asdict(settings)}
    resume = resume or out.with_suffix(".training")
    losses, seconds = _optimise(model, layers, settings, batch, resume=resume, identity=identity, progress=progress)
    card = {
        "settings": asdict(settings),
        "tokens": settings.tokens,
        "owners": [folder.name for folder in texts],
        "data_sha256": hashes,
        "last_loss": round(last_loss(losses), 4),
        "seconds": round(seconds),
    }
    return write_dense(out, layers, sha256, card)


def _optimise(
    model: CausalLM,
    layers: Sequence[DenseFFN],
    settings: Settings,
    batch: Callable[[int], Sequence[Tensor]],
    *,
    resume: Path,
    identity: dict[str, Any],
    progress: Callable[[Progress], None],
) -> tuple[list[float], float]:
    """Do the steps that are left; returns the loss of every step and the seconds all of them took."""
    parameters = list(dense_parameters(layers))
    optimiser = torch.optim.AdamW(parameters, lr=settings.learning_rate, betas=(0.9, 0.95), weight_decay=0.0)
    losses: list[float] = []
    spent = 0.0
    if (state := _load(resume, identity)) is not None:
        for parameter, saved in zip(parameters, state["parameters"], strict=True):
            parameter.data.copy_(saved)
        optimiser.load_state_dict(state["optimiser"])
        losses, spent = state["losses"], state["seconds"]
    first, start = len(losses), time.monotonic()
    for step in range(first, settings.steps):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(step, settings)
        loss = 0.0
        # one owner after the other: the gradient of the mean, in the memory of one
        for tokens in (batches := batch(step)):
            part = next_token_loss(model, tokens) / len(batches)
            torch.autograd.backward(part)
            loss += part.item()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        optimiser.zero_grad()
        losses.append(loss)
        each = (time.monotonic() - start) / (step + 1 - first)
        if (step + 1) % 10 == 0 or step + 1 == settings.steps:
            _save(
                resume,
                identity=identity,
                parameters=[parameter.detach() for parameter in parameters],
                optimiser=optimiser.state_dict(),
                losses=losses,
                seconds=spent + time.monotonic() - start,
            )
        speed = settings.blocks * settings.block_tokens / each
        progress(Progress(step + 1, settings.steps, last_loss(losses), 1.0, speed, each * (settings.steps - step - 1)))
    return losses, spent + time.monotonic() - start


def _save(file: Path, **state: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f"{file.name}.part")
    torch.save(state, part)
    os.replace(part, file)


def _load(file: Path, identity: dict[str, Any]) -> dict[str, Any] | None:
    if not file.exists():
        return None
    state: dict[str, Any] = torch.load(file, weights_only=True)
    if state["identity"] != identity:
        differs = sorted(name for name in identity if state["identity"].get(name) != identity[name])
        raise OtherTraining(f"{file} is of another training (it differs in {', '.join(differs)}): delete it.")
    return state
