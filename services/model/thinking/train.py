"""Train the adapter: next-token loss on the model's own tokens of problems with and without thinking."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from services.model.flexolmo.anchor import fingerprint, load_anchor
from services.model.flexolmo.checkpoint import OtherTraining
from services.model.flexolmo.families import CausalLM
from services.model.flexolmo.loss import next_token_loss
from services.model.flexolmo.precision import compute_dtype
from services.model.flexolmo.training import first_loss, last_loss
from services.model.thinking.adapter import attach, write
from services.model.thinking.examples import Examples, batches
from services.model.thinking.template import thinking_tokenizer

_SAVE_EVERY, _BATCH = 10, 8
_WARMUP = 10
_WIDENED = "candor-widened"


@dataclass(frozen=True)
class Settings:
    """What decides the training. The defaults made the committed adapter."""

    rank: int = 8
    first_layer: int = 10
    """The layers before it stay as they are, and no gradient goes through them."""
    steps: int = 400
    problems: int = 4
    """A step, each once with thinking and once without."""
    learning_rate: float = 2e-3
    """Reached in ten steps, held, and in the last quarter of the steps lowered to nothing."""
    seed: int = 0

    @property
    def held(self) -> int:
        """Steps until the learning rate falls: until then, a training is the same however many steps it has."""
        return self.steps - self.steps // 4

    def rate(self, step: int) -> float:
        """The learning rate of a step."""
        fall = (self.steps - step) / (self.steps - self.held + 1)
        return self.learning_rate * min(1.0, (step + 1) / _WARMUP, fall)


@dataclass(frozen=True)
class Progress:
    """The state of a training after a step; the loss is the mean of ten steps, in nats a token."""

    step: int
    loss: float
    seconds: float


def train(
    anchor: Path, out: Path, resume: Path, settings: Settings, progress: Callable[[Progress], None] = lambda _: None
) -> Path:
    """Train an adapter of the checkpoint ``anchor`` and write it to ``out``; returns ``out``.

    The file ``resume`` is written every ten steps; when it exists, training goes on from it and ends with the weights
    an uninterrupted run would have had. One of a training of more or fewer steps will do, if neither's learning rate
    had begun to fall. Raises OtherTraining for one of another training.
    """
    model, tokenizer = load_anchor(anchor, compute_dtype()), thinking_tokenizer(anchor)
    AttentionInterface.register(_WIDENED, _widened)
    model.set_attn_implementation(_WIDENED)
    examples = Examples(tokenizer, settings.seed, settings.problems)
    sha256 = fingerprint(anchor).sha256
    run = _Run(model, examples, settings, sha256)
    run.load(resume)
    run.to_the_end(resume, progress)
    card = {
        "settings": asdict(settings),
        "tokens": run.tokens,
        "first_loss": round(first_loss(run.losses), 4),
        "last_loss": round(last_loss(run.losses), 4),
        "seconds": round(run.seconds),
    }
    return write(out, run.tensors(), sha256, card)


def _widened(module: nn.Module, queries: Tensor, keys: Tensor, values: Tensor, *rest: Any, **options: Any) -> Any:
    """torch's attention in fp32: its gradient in bf16 takes four times as long on a CPU."""
    out, weights = sdpa_attention_forward(module, queries.float(), keys.float(), values.float(), *rest, **options)
    return out.to(queries.dtype), weights


class _Run:
    """A model, an optimiser, and how far they got."""

    def __init__(self, model: CausalLM, examples: Examples, settings: Settings, anchor_sha256: str) -> None:
        self.model, self.examples, self.settings = model, examples, settings
        self.identity = {"anchor": anchor_sha256, **asdict(settings)}
        changes = attach(model, settings.rank, settings.seed, settings.first_layer)
        self.parameters = {f"{name}.{side}": getattr(changes[name], side) for name in changes for side in "ab"}
        self.optimiser = torch.optim.AdamW(self.parameters.values(), betas=(0.9, 0.95), weight_decay=0.0)
        self.losses: list[float] = []
        self.seconds, self.tokens = 0.0, 0

    def to_the_end(self, file: Path, progress: Callable[[Progress], None]) -> None:
        """Do the steps that are left; the state goes to ``file`` every ten and after the last."""
        start, spent = time.monotonic(), self.seconds
        for step in range(len(self.losses), self.settings.steps):
            self.losses.append(self._step(step))
            self.seconds = spent + time.monotonic() - start
            if (step + 1) % _SAVE_EVERY == 0 or step + 1 == self.settings.steps:
                self._save(file)
                progress(Progress(step + 1, last_loss(self.losses), self.seconds))

    def _step(self, step: int) -> float:
        """One update; returns the loss."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.settings.rate(step)
        parts = batches(self.examples.step(step), _BATCH)
        learnt, loss = sum(int(chosen.sum()) for _, chosen in parts), 0.0
        for tokens, chosen in parts:
            # the mean over all tokens of the step, whichever batch they are in
            part = next_token_loss(self.model, tokens, chosen) * (int(chosen.sum()) / learnt)
            torch.autograd.backward(part)
            loss += part.item()
            self.tokens += tokens.numel()
        torch.nn.utils.clip_grad_norm_(self.parameters.values(), 1.0)
        self.optimiser.step()
        self.optimiser.zero_grad()
        return loss

    def tensors(self) -> dict[str, Tensor]:
        """What was trained."""
        return {name: parameter.detach() for name, parameter in self.parameters.items()}

    def _save(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_name(f"{file.name}.part")
        state = {"identity": self.identity, "parameters": self.tensors(), "optimiser": self.optimiser.state_dict()}
        torch.save(state | {"losses": self.losses, "seconds": self.seconds, "tokens": self.tokens}, part)
        os.replace(part, file)

    def load(self, file: Path) -> None:
        """Go on from a checkpoint, if there is one. Raises OtherTraining when it is of another training."""
        if not file.exists():
            return
        state: dict[str, Any] = torch.load(file, weights_only=True)
        identity, done = state["identity"], len(state["losses"])
        differs = {name for name in self.identity if identity.get(name) != self.identity[name]}
        held = min(self.settings.held, replace(self.settings, steps=identity["steps"]).held)
        if differs - {"steps"} or (differs and done > held):
            names = ", ".join(sorted(differs))
            raise OtherTraining(f"{file} is of another training (it differs in {names}): delete it.")
        for name, parameter in self.parameters.items():
            parameter.data.copy_(state["parameters"][name])
        self.optimiser.load_state_dict(state["optimiser"])
        self.losses, self.seconds, self.tokens = state["losses"], state["seconds"], state["tokens"]
