"""Loading a checkpoint into an engine. Imports torch, so it is imported only once the port is bound."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Literal

from services.model.engines.base import Engine, Notice
from services.model.engines.checkpoint import Checkpoint
from services.model.engines.memory import give_back
from services.model.engines.tokenizer import Tokenizer
from services.model.engines.transformers import Limits, TransformersEngine
from services.model.engines.vllm.engine import VllmEngine
from services.model.engines.vllm.hosts import Host, Launch, OwnHost, RemoteHost
from services.model.flexolmo.build import ensure_merged
from services.model.settings import ModelSettings
from shared.processor import fast_dtype


def embedded_model(home: Path) -> Path:
    """The directory of the embedded default model, built from the pulled dense model if it is not there."""
    return ensure_merged(home)


def load(
    directory: Path, settings: ModelSettings, notice: Notice, stopping: threading.Event
) -> tuple[Engine, Tokenizer]:
    """An engine that serves the checkpoint in a directory, and its tokenizer.

    `notice` is told when the engine can serve no more, and when it can again; an engine that is waited for is given up
    when `stopping` is set. Raises OSError, ValueError or EngineFailed for what cannot be loaded.
    """
    if not (directory / "config.json").is_file():
        # transformers would take the name for one of a model hub and go looking there
        raise FileNotFoundError(f"there is no config.json in {directory}; set CANDOR_MODEL_DIRECTORY to a checkpoint")
    if settings.engine == "vllm":
        tokenizer, host = Tokenizer.load(directory), _host(directory, settings)
        return VllmEngine(host, directory, tokenizer.decode, settings.max_queue, notice, stopping=stopping), tokenizer
    return load_here(directory, settings)


def load_here(directory: Path, settings: ModelSettings) -> tuple[TransformersEngine, Tokenizer]:
    """An engine on transformers, in this process, and the tokenizer. Raises OSError or ValueError."""
    tokenizer = Tokenizer.load(directory)
    limits = Limits(
        batch=settings.max_batch,
        queue=settings.max_queue,
        slots=settings.cache_slots,
        prefixes=settings.prefix_megabytes << 20,
        length=settings.max_length,
        threads=settings.threads,
    )
    checkpoint = Checkpoint.load(directory, _dtype(settings))
    give_back()
    return TransformersEngine(checkpoint, tokenizer.decode, limits), tokenizer


def _dtype(settings: ModelSettings) -> Literal["bfloat16", "float32"]:
    return fast_dtype() if settings.dtype == "auto" else settings.dtype


def _host(directory: Path, settings: ModelSettings) -> Host:
    if settings.vllm_address and not settings.vllm_python:
        return RemoteHost(settings.vllm_address)
    if settings.vllm_python and not settings.vllm_address:
        return OwnHost(
            Launch(
                python=settings.vllm_python,
                directory=directory,
                dtype=_dtype(settings),
                batch=settings.max_batch,
                length=settings.max_length,
                threads=settings.threads,
                arguments=settings.vllm_arguments,
            )
        )
    raise ValueError(
        "CANDOR_MODEL_ENGINE=vllm needs either CANDOR_MODEL_VLLM_PYTHON, to start a host with, "
        "or CANDOR_MODEL_VLLM_ADDRESS, where one runs"
    )
