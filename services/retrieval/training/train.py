"""Contrastive fine-tuning of an encoder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from services.retrieval.training.pairs import Pair


@dataclass(frozen=True)
class Recipe:
    """How to train. `batch` queries share their passages as negatives; `mini_batch` of them are in memory at once."""

    steps: int
    batch: int
    mini_batch: int
    max_tokens: int
    learning_rate: float = 2e-5
    scale: float = 50.0
    seed: int = 0


def train(base: Path, pairs: Sequence[Pair], out: Path, recipe: Recipe) -> list[float]:
    """Train the encoder in folder `base` and write it to `out`; returns the loss of each step logged.

    The loss is InfoNCE over in-batch negatives and one hard negative (van den Oord et al. 2018), with gradients
    cached so that memory does not grow with the batch (Gao et al. 2021). A run that was cut off continues from the
    last checkpoint in `out`.checkpoints.
    """
    from datasets import Dataset  # noqa: PLC0415 (seconds to import, as the next)
    from sentence_transformers import (  # noqa: PLC0415
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.sentence_transformer.losses import CachedMultipleNegativesRankingLoss  # noqa: PLC0415

    checkpoints = out.with_name(out.name + ".checkpoints")
    model: Any = SentenceTransformer(str(base), device=None, local_files_only=True)
    limit = model.max_seq_length
    model.max_seq_length = recipe.max_tokens
    rows = [{"anchor": pair.query, "positive": pair.positive, "negative": pair.negative} for pair in pairs]
    trainer: Any = SentenceTransformerTrainer(
        model=model,
        args=SentenceTransformerTrainingArguments(
            output_dir=str(checkpoints),
            max_steps=recipe.steps,
            per_device_train_batch_size=recipe.batch,
            learning_rate=recipe.learning_rate,
            warmup_steps=recipe.steps // 10,
            seed=recipe.seed,
            logging_steps=max(1, recipe.steps // 20),
            save_steps=max(1, recipe.steps // 4),
            save_total_limit=1,
            report_to="none",
            disable_tqdm=True,
        ),
        train_dataset=Dataset.from_list(rows),
        loss=CachedMultipleNegativesRankingLoss(model, scale=recipe.scale, mini_batch_size=recipe.mini_batch),
    )
    trainer.train(resume_from_checkpoint=any(checkpoints.glob("checkpoint-*")))
    model.max_seq_length = limit
    model.save_pretrained(str(out), create_model_card=False)
    # pooling has no weights, and sentence-transformers 6 describes it in a form that the encoders do not read
    shutil.copy(base / "1_Pooling" / "config.json", out / "1_Pooling" / "config.json")
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    _describe(base, pairs, out, recipe, losses)
    shutil.rmtree(checkpoints, ignore_errors=True)
    return losses


def _describe(base: Path, pairs: Sequence[Pair], out: Path, recipe: Recipe, losses: Sequence[float]) -> None:
    owners = sorted({pair.owner for pair in pairs})
    licences = sorted({pair.licence for pair in pairs})
    about = {"base": base.name, "owners": owners, "licences": licences, "pairs": len(pairs)}
    report = {**about, "recipe": asdict(recipe), "losses": list(losses)}
    (out / "training.json").write_text(json.dumps(report, indent=2), encoding="utf-8")
    (out / "README.md").write_text(
        f"An encoder fine-tuned from {base.name} by `candor retriever train` on {len(pairs)} pairs.\n"
        f"Its training data is of these owners alone: {', '.join(owners)}; licences: {', '.join(licences)}.\n",
        encoding="utf-8",
    )
