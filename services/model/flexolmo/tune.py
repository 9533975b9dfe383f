"""Tune a merged router on public text, experts frozen (FlexOlmo's optional last step).

Owners' router rows were trained apart, each against the public expert alone, so nothing taught them to stand back
from each other, or from text that is nobody's. Tuning moves the router rows and nothing else, by the next-token loss
of the whole mixture on the public owner's text and on public chats; owners' texts are not read. A tuned router has
seen the experts together: the merge records that, with the hash of what it was tuned on.
"""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoTokenizer

from services.model.flexolmo.anchor import load_anchor
from services.model.flexolmo.chats import public_chats
from services.model.flexolmo.corpus import Blocks, data_hash, read_documents
from services.model.flexolmo.expert import read_expert
from services.model.flexolmo.loss import next_token_loss
from services.model.flexolmo.mixture import attach_mixture
from services.model.flexolmo.precision import compute_dtype


@dataclass(frozen=True)
class Tuning:
    """What decides a tuning besides experts and text."""

    k: int = 2
    """Experts a token, as the merge will have them."""
    rows: Literal["public", "all"] = "public"
    """Which rows move: the public expert's (owners' stay as each trained its own), or everyone's."""
    steps: int = 12
    blocks: int = 2
    """Blocks a step: half of them public text, half public chats."""
    block_tokens: int = 256
    learning_rate: float = 3e-2
    """Rows of owners have a norm of about 8: at 1e-3, an expert's rate, a public row of zeros does not get anywhere."""
    seed: int = 0


@dataclass(frozen=True)
class TunedRouter:
    """Router rows tuned on public text, and what to record of it."""

    rows: Tensor
    """(layers, experts + 1, hidden), fp32; the public expert's first."""
    card: dict[str, Any]


def tune_router(
    anchor: Path,
    experts: Sequence[Path],
    public: Path,
    questions: Path,
    *,
    settings: Tuning | None = None,
    progress: Callable[[int, float], None] = lambda _step, _loss: None,
) -> TunedRouter:
    """Tune the router of the merge of ``experts``, files in the merge's order, and return its rows.

    ``public`` is the folder of the public owner's text; of ``questions`` only those on its training documents are
    used. Deterministic by seed. Raises FileNotFoundError when either has nothing.
    """
    settings = settings or Tuning()
    tokenizer = AutoTokenizer.from_pretrained(anchor)
    documents, chats = read_documents(public, "train"), public_chats(questions, public, tokenizer)
    sources = [Blocks(each, tokenizer, settings.block_tokens, settings.seed) for each in (documents, chats)]
    model = load_anchor(anchor, compute_dtype())
    layers = attach_mixture(model, [read_expert(file) for file in experts], settings.k)
    before = torch.stack([layer.router.detach().clone() for layer in layers])

    routers = [layer.router for layer in layers]
    optimiser = torch.optim.Adam(routers, lr=settings.learning_rate, betas=(0.9, 0.95))
    for step in range(settings.steps):
        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * (1 - step / settings.steps)
        loss = 0.0
        # text, then chats: the gradient of the mean, in the memory of one
        for source in sources:
            part = next_token_loss(model, source.batch(step, settings.blocks // len(sources))) / len(sources)
            torch.autograd.backward(part)
            loss += part.item()
        if settings.rows == "public":
            for router in routers:
                assert router.grad is not None
                router.grad[1:] = 0
        torch.nn.utils.clip_grad_norm_(routers, 1.0)
        optimiser.step()
        optimiser.zero_grad()
        progress(step + 1, loss)
    rows = torch.stack([router.detach() for router in routers])
    card = {
        "tuned": True,
        "settings": asdict(settings),
        "tokens": settings.steps * settings.blocks * settings.block_tokens,
        "public_sha256": data_hash(documents),
        "chats_sha256": data_hash(chats),
        "moved": round((rows - before).norm().item() / before.norm().item(), 4),
    }
    return TunedRouter(rows, card)


def write_router(folder: Path, tuned: TunedRouter) -> None:
    """Put tuned rows into the merged checkpoint in ``folder``, and say so in its candor.json.

    Raises ValueError when the checkpoint has other routers.
    """
    file = folder / "model.safetensors"
    tensors = load_file(file)
    names = sorted((name for name in tensors if name.endswith(".gate.weight")), key=_layer)
    if [tensors[name].shape for name in names] != [rows.shape for rows in tuned.rows]:
        raise ValueError(f"The router was tuned for another merge than the one in {folder}.")
    for name, rows in zip(names, tuned.rows, strict=True):
        tensors[name] = rows.to(tensors[name].dtype).contiguous()
    card = json.loads((folder / "candor.json").read_text(encoding="utf-8")) | {"router": tuned.card}
    _replace(file, lambda part: save_file(tensors, part, metadata={"format": "pt"}))
    text = json.dumps(card, indent=2) + "\n"
    _replace(folder / "candor.json", lambda part: part.write_text(text, encoding="utf-8"))


def save_router(file: Path, tuned: TunedRouter) -> None:
    """Write tuned rows as a file of their own."""
    file.parent.mkdir(parents=True, exist_ok=True)
    _replace(file, lambda part: save_file({"rows": tuned.rows}, part, metadata={"card": json.dumps(tuned.card)}))


def read_router(file: Path) -> Tensor:
    """The rows (layers, experts + 1, hidden) that `save_router` wrote."""
    return load_file(file)["rows"]


def _layer(name: str) -> int:
    return int(name.split("layers.")[1].split(".", maxsplit=1)[0])


def _replace(file: Path, write: Callable[[Path], object]) -> None:
    part = file.with_name(f"{file.name}.part")
    write(part)
    os.replace(part, file)
