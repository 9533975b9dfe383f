"""Contrastive fine-tuning of an encoder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from services.retrieval.encoders.base import Card
from services.retrieval.training.pairs import Pair
from services.retrieval.training.record import Recipe, Record
from shared.processor import fast_dtype


class NotTheSameRun(ValueError):
    """A run cannot go on from the checkpoints there are: they are of other pairs, another base or another recipe."""


def train(base: Card, pairs: Sequence[Pair], out: Path, recipe: Recipe, tell: Callable[[int], None]) -> list[float]:
    """Train an encoder and write it to `out`; returns the loss of each step logged. `tell` is told each step.

    The loss is InfoNCE over in-batch negatives and one hard negative (van den Oord et al. 2018), with gradients
    cached so that memory does not grow with the batch (Gao et al. 2021). A query or passage is in a batch once. A run
    that was cut off goes on from the last checkpoint in `out`.checkpoints. Raises NotTheSameRun, and FileExistsError
    if `out` is there already.
    """
    checkpoints = out.with_name(out.name + ".checkpoints")
    record = Record.of(base, pairs, recipe)
    resumed = _resumed(checkpoints, out, record)
    trainer = _trainer(base, pairs, checkpoints, recipe, tell)
    trainer.train(resume_from_checkpoint=resumed)
    model = trainer.model
    model.max_seq_length = base.max_tokens
    model.save_pretrained(str(out), create_model_card=False)
    # pooling has no weights, and sentence-transformers 6 describes it in a form that the encoders do not read
    shutil.copy(base.folder / "1_Pooling" / "config.json", out / "1_Pooling" / "config.json")
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    record.write(out, losses)
    shutil.rmtree(checkpoints)
    return losses


def _resumed(checkpoints: Path, out: Path, record: Record) -> bool:
    """Whether there is a checkpoint to go on from."""
    begun = checkpoints / "run.json"
    if not begun.is_file():
        if out.exists():
            raise FileExistsError(f"{out} is there already: choose another folder, or remove it.")
        checkpoints.mkdir(parents=True, exist_ok=True)
        begun.write_text(record.json(), encoding="utf-8")
    elif json.loads(begun.read_text(encoding="utf-8")) != json.loads(record.json()):
        raise NotTheSameRun(
            f"{checkpoints} is of a run that was cut off, of other pairs, another base or another recipe: "
            "repeat that run as it was, or remove the folder."
        )
    return any(checkpoints.glob("checkpoint-*"))


def _trainer(base: Card, pairs: Sequence[Pair], checkpoints: Path, recipe: Recipe, tell: Callable[[int], None]) -> Any:
    import torch  # noqa: PLC0415 (seconds to import, as what follows)
    from datasets import Dataset  # noqa: PLC0415
    from sentence_transformers import (  # noqa: PLC0415
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.sentence_transformer.losses import (  # noqa: PLC0415
        CachedMultipleNegativesRankingLoss,
        MultipleNegativesRankingLoss,
    )
    from sentence_transformers.sentence_transformer.training_args import BatchSamplers  # noqa: PLC0415
    from transformers import TrainerCallback  # noqa: PLC0415
    from transformers.utils import logging  # noqa: PLC0415

    class Told(TrainerCallback):  # type: ignore[misc, unused-ignore]
        def on_step_end(self, *told: Any, **_: Any) -> None:
            _, state, _ = told
            tell(state.global_step)

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    model: Any = SentenceTransformer(str(base.folder), device=None, local_files_only=True)
    model.max_seq_length = recipe.max_tokens
    # the same loss; a batch that is in memory at once is not passed through the model a second time
    loss: Any = (
        CachedMultipleNegativesRankingLoss(model, scale=recipe.scale, mini_batch_size=recipe.mini_batch)
        if recipe.mini_batch < recipe.batch
        else MultipleNegativesRankingLoss(model, scale=recipe.scale)
    )
    rows = [{"anchor": pair.query, "positive": pair.positive, "negative": pair.negative} for pair in pairs]
    return SentenceTransformerTrainer(
        model=model,
        args=SentenceTransformerTrainingArguments(
            output_dir=str(checkpoints),
            max_steps=recipe.steps,
            per_device_train_batch_size=recipe.batch,
            # another query's positive that is this query's too would be pushed away from it
            batch_sampler=BatchSamplers.NO_DUPLICATES,
            learning_rate=recipe.learning_rate,
            warmup_steps=recipe.steps // 10,
            bf16=fast_dtype() == "bfloat16",
            use_cpu=not torch.cuda.is_available(),  # else it refuses bf16 where there is no GPU
            seed=recipe.seed,
            logging_steps=max(1, recipe.steps // 20),
            save_steps=max(1, recipe.steps // 10),
            save_total_limit=1,
            dataloader_pin_memory=torch.cuda.is_available(),
            report_to="none",
            disable_tqdm=True,
        ),
        train_dataset=Dataset.from_list(rows),
        loss=loss,
        callbacks=[Told()],
    )
