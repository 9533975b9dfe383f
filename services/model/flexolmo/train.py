"""Train an owner's expert by FlexOlmo's recipe: on the owner's machine, from the owner's text alone.

The public expert and everything shared stay frozen bit for bit. Trained are the low-rank delta of the
owner's FFN, its router row, and a non-positive bias on the owner's logit that helps the training and is then
thrown away. Next-token loss plus a small z-loss on the router; no load-balance loss, no weight decay.
Source: FlexOlmo (Shi et al. 2025), section 3.
"""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoTokenizer, LlamaForCausalLM

from services.model.flexolmo import checkpoint
from services.model.flexolmo.anchor import Fingerprint, fingerprint, load_anchor
from services.model.flexolmo.corpus import Blocks, data_hash, read_documents
from services.model.flexolmo.loss import next_token_loss
from services.model.flexolmo.lowrank import TwoExpertFFN, attach_expert, trained_parameters
from services.model.flexolmo.router import domain_embedding, initialise, router_rows


@dataclass(frozen=True)
class Settings:
    """What decides a training besides its text. The defaults made the committed experts."""

    rank: int = 8
    steps: int = 300
    blocks: int = 4
    """Blocks a step."""
    block_tokens: int = 256
    learning_rate: float = 1e-3
    warmup: int = 20
    z_loss: float = 1e-3
    domain_blocks: int = 32
    """Blocks of the owner's and of public text behind the router's first value."""
    seed: int = 0

    @property
    def tokens(self) -> int:
        """The budget: tokens the expert is trained on."""
        return self.steps * self.blocks * self.block_tokens


DEFAULTS = Settings()


@dataclass(frozen=True)
class Progress:
    """The state of a training after a step."""

    step: int
    steps: int
    loss: float
    """Mean negative log-likelihood of the step's tokens, nats."""
    share: float
    """Mean probability the router gave the owner's expert."""
    tokens_per_second: float
    seconds_left: float


@dataclass(frozen=True)
class Trained:
    """A trained expert, not yet a file."""

    owner: str
    licence: str
    model: LlamaForCausalLM
    """The two-expert model."""
    layers: list[TwoExpertFFN]
    anchor: Fingerprint
    settings: Settings
    documents: int
    data_sha256: str
    losses: list[float]
    seconds: float


def train(
    owner: str,
    *,
    anchor: Path,
    texts: Path,
    public: Path,
    resume: Path,
    settings: Settings = DEFAULTS,
    progress: Callable[[Progress], None] = lambda _: None,
) -> Trained:
    """Train ``owner``'s expert on the training split of ``texts``; ``public`` only positions its router row.

    ``anchor`` is a dense checkpoint, ``texts`` and ``public`` are folders of JSONL documents. The file
    ``resume`` is rewritten every ten steps; when it exists, training goes on from it and ends with the weights
    an uninterrupted run would have had. Raises UnsupportedAnchor, FileNotFoundError for missing text, and
    OtherTraining when ``resume`` is not of this training.
    """
    anchor_print = fingerprint(anchor)
    model, tokenizer = load_anchor(anchor), AutoTokenizer.from_pretrained(anchor)
    documents = read_documents(texts, "train")
    blocks = Blocks(documents, tokenizer, settings.block_tokens, settings.seed)
    identity = {"anchor": anchor_print.sha256, "data": data_hash(documents), **asdict(settings)}

    state = checkpoint.load(resume, identity)
    rows = None
    if state is None:
        others = Blocks(read_documents(public, "train"), tokenizer, settings.block_tokens, settings.seed + 1)
        count = settings.domain_blocks // settings.blocks
        rows = router_rows(
            domain_embedding(model, blocks.batches(count, settings.blocks)),
            domain_embedding(model, others.batches(count, settings.blocks)),
        )
    layers = attach_expert(model, settings.rank, settings.seed)
    if rows is not None:
        initialise(layers, rows)

    run = _Run(model, layers, settings, state)
    run.to_the_end(blocks, progress, lambda: checkpoint.save(resume, run.state(identity)))
    return Trained(
        owner=owner,
        licence=" AND ".join(sorted({document.licence for document in documents})),
        model=model,
        layers=layers,
        anchor=anchor_print,
        settings=settings,
        documents=len(documents),
        data_sha256=identity["data"],
        losses=run.losses,
        seconds=run.seconds,
    )


class _Run:
    """The optimisation itself: a model, an optimiser, and how far they got."""

    def __init__(
        self,
        model: LlamaForCausalLM,
        layers: list[TwoExpertFFN],
        settings: Settings,
        state: checkpoint.State | None,
    ) -> None:
        self.model, self.layers, self.settings = model, layers, settings
        self.parameters = list(trained_parameters(layers))
        # Weight decay would move rows that are meant to stay: it acts without a gradient.
        self.optimiser = torch.optim.AdamW(
            self.parameters, lr=settings.learning_rate, betas=(0.9, 0.95), weight_decay=0.0
        )
        self.losses: list[float] = []
        self.seconds = 0.0
        if state is not None:
            for parameter, saved in zip(self.parameters, state.parameters, strict=True):
                parameter.data.copy_(saved)
            self.optimiser.load_state_dict(state.optimiser)
            self.losses, self.seconds = list(state.losses), state.seconds

    def state(self, identity: dict[str, Any]) -> checkpoint.State:
        """What a later process needs to go on from here."""
        parameters = [parameter.detach() for parameter in self.parameters]
        return checkpoint.State(identity, parameters, self.optimiser.state_dict(), self.losses, self.seconds)

    def to_the_end(self, blocks: Blocks, progress: Callable[[Progress], None], save: Callable[[], None]) -> None:
        """Do the steps that are left; ``save`` is called every ten and after the last."""
        settings, first, spent = self.settings, len(self.losses), self.seconds
        start = time.monotonic()
        self.model.train()
        for step in range(first, settings.steps):
            loss, share = self._step(step, blocks.batch(step, settings.blocks))
            self.losses.append(loss)
            elapsed = time.monotonic() - start
            self.seconds = spent + elapsed
            each = elapsed / (step + 1 - first)
            speed = settings.blocks * settings.block_tokens / each
            left = each * (settings.steps - step - 1)
            progress(Progress(step + 1, settings.steps, loss, share, speed, left))
            if (step + 1) % 10 == 0 or step + 1 == settings.steps:
                save()
        self.model.train(False)

    def _step(self, step: int, tokens: Tensor) -> tuple[float, float]:
        """One update on a batch (blocks, length); returns its loss and the expert's routing share."""
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(step, self.settings)
        likelihood = next_token_loss(self.model, tokens)
        routing = torch.stack([layer.z for layer in self.layers]).mean()
        torch.autograd.backward(likelihood + self.settings.z_loss * routing)
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimiser.step()
        self.optimiser.zero_grad()
        return likelihood.item(), torch.stack([layer.share for layer in self.layers]).mean().item()


def learning_rate(step: int, settings: Settings) -> float:
    """Linear warm-up, then a cosine to a tenth of the peak."""
    if step < settings.warmup:
        return settings.learning_rate * (step + 1) / settings.warmup
    done = (step - settings.warmup) / max(1, settings.steps - settings.warmup)
    return settings.learning_rate * (0.1 + 0.9 * (1 + math.cos(math.pi * done)) / 2)
