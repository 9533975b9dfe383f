"""The optimisation of an expert: steps, learning rate, progress, and the checkpoint that is left on the way."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from services.model.flexolmo import checkpoint
from services.model.flexolmo.blocks import OwnerBlock, named_trained
from services.model.flexolmo.corpus import Blocks
from services.model.flexolmo.families import CausalLM
from services.model.flexolmo.loss import next_token_loss
from services.model.flexolmo.processes import Processes
from services.model.flexolmo.training import Settings, Training, last_loss

_SAVE_EVERY = 10


@dataclass(frozen=True)
class Progress:
    """The state of a training after a step."""

    step: int
    steps: int
    loss: float
    """`training.last_loss` of the steps so far."""
    share: float
    """Mean probability the router gave the owner's expert."""
    tokens_per_second: float
    seconds_left: float


class Run:
    """A model, an optimiser, and how far they got."""

    def __init__(
        self,
        model: CausalLM,
        layers: list[OwnerBlock],
        training: Training,
        state: checkpoint.State | None,
        processes: Processes,
    ) -> None:
        self.model, self.layers, self.training, self.processes = model, layers, training, processes
        self.named = named_trained(layers)
        self.parameters = list(self.named.values())
        # Weight decay would move rows that are meant to stay: it acts without a gradient.
        self.optimiser = torch.optim.AdamW(
            self.parameters, lr=training.settings.learning_rate, betas=(0.9, 0.95), weight_decay=0.0
        )
        self.losses: list[float] = []
        self.seconds = 0.0
        if state is not None:
            for name, parameter in self.named.items():
                parameter.data.copy_(state.parameters[name])
            self.optimiser.load_state_dict(state.optimiser)
            self.losses, self.seconds = list(state.losses), state.seconds

    def state(self) -> checkpoint.State:
        """What a later process needs to go on from here."""
        parameters = {name: parameter.detach().cpu() for name, parameter in self.named.items()}
        return checkpoint.State(self.training, parameters, self.optimiser.state_dict(), self.losses, self.seconds)

    def save(self, file: Path) -> None:
        """Write the state to ``file``, if this is the main process."""
        if self.processes.main:
            checkpoint.save(file, self.state())

    def to_the_end(self, blocks: Blocks, progress: Callable[[Progress], None], file: Path) -> None:
        """Do the steps that are left; the state goes to ``file`` every ten and after the last."""
        settings, first, spent = self.training.settings, len(self.losses), self.seconds
        start = time.monotonic()
        # The owner's blocks alone: the anchor's dropout, if it has any, would differ after a resume.
        for layer in self.layers:
            layer.train()
        for step in range(first, settings.steps):
            loss, share = self._step(step, blocks)
            self.losses.append(loss)
            elapsed = time.monotonic() - start
            self.seconds = spent + elapsed
            each = elapsed / (step + 1 - first)
            speed = settings.blocks * settings.block_tokens / each
            left = each * (settings.steps - step - 1)
            progress(Progress(step + 1, settings.steps, last_loss(self.losses), share, speed, left))
            if (step + 1) % _SAVE_EVERY == 0 or step + 1 == settings.steps:
                self.save(file)
        for layer in self.layers:
            layer.train(False)

    def _step(self, step: int, blocks: Blocks) -> tuple[float, float]:
        """One update; returns the loss and the expert's routing share over the step's blocks, of all processes."""
        settings = self.training.settings
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(step, settings)
        report = torch.zeros(2, device=self.processes.device)
        part = self.processes.part
        weight = len(range(settings.blocks)[part]) / settings.blocks
        if weight:
            likelihood = next_token_loss(self.model, blocks.batch(step, settings.blocks, part).to(report.device))
            routing = torch.stack([layer.z for layer in self.layers]).mean()
            torch.autograd.backward(weight * (likelihood + settings.z_loss * routing))
            share = torch.stack([layer.share for layer in self.layers]).mean()
            report = weight * torch.stack([likelihood.detach(), share])
        self._reduce(report)
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimiser.step()
        self.optimiser.zero_grad()
        loss, routed = report.tolist()
        return loss, routed

    def _reduce(self, report: Tensor) -> None:
        """Sum gradients and ``report``, both weighted by the processes' parts, over the processes."""
        for parameter in self.parameters:
            if parameter.grad is None:
                # Of an expert that no token of this step was routed to, or of a process without a block.
                parameter.grad = torch.zeros_like(parameter)
        self.processes.sum([report, *(parameter.grad for parameter in self.parameters if parameter.grad is not None)])


def learning_rate(step: int, settings: Settings) -> float:
    """Linear warm-up, then a cosine to a tenth of the peak."""
    if step < settings.warmup:
        return settings.learning_rate * (step + 1) / settings.warmup
    done = (step - settings.warmup) / max(1, settings.steps - settings.warmup)
    return settings.learning_rate * (0.1 + 0.9 * (1 + math.cos(math.pi * done)) / 2)
