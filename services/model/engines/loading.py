"""Loading a checkpoint into an engine. Imports torch, so it is imported only once the port is bound."""

from __future__ import annotations

from pathlib import Path

from services.model.engines.checkpoint import Checkpoint
from services.model.engines.memory import give_back
from services.model.engines.tokenizer import Tokenizer
from services.model.engines.transformers import Limits, TransformersEngine
from services.model.flexolmo.build import ensure_merged
from services.model.settings import ModelSettings
from shared.processor import fast_dtype


def embedded_model(home: Path) -> Path:
    """The directory of the embedded default model, built from the pulled dense model if it is not there."""
    return ensure_merged(home)


def load(directory: Path, settings: ModelSettings) -> tuple[TransformersEngine, Tokenizer]:
    """An engine that serves the checkpoint in a directory. Raises OSError or ValueError for one it cannot."""
    if not (directory / "config.json").is_file():
        # transformers would take the name for one of a model hub and go looking there
        raise FileNotFoundError(f"there is no config.json in {directory}; set CANDOR_MODEL_DIRECTORY to a checkpoint")
    tokenizer = Tokenizer.load(directory)
    limits = Limits(
        batch=settings.max_batch,
        queue=settings.max_queue,
        slots=settings.cache_slots,
        prefixes=settings.prefix_megabytes << 20,
        length=settings.max_length,
        threads=settings.threads,
    )
    dtype = fast_dtype() if settings.dtype == "auto" else settings.dtype
    checkpoint = Checkpoint.load(directory, dtype)
    give_back()
    return TransformersEngine(checkpoint, tokenizer.decode, limits), tokenizer
