"""Loading a checkpoint into an engine. Imports torch, so it is imported only once the port is bound."""

from __future__ import annotations

import threading
from pathlib import Path

from services.model.engines.base import Engine, Notice
from services.model.engines.checkpoint import Checkpoint
from services.model.engines.tokenizer import Tokenizer
from services.model.engines.transformers import Limits, TransformersEngine
from services.model.engines.vllm.engine import VllmEngine
from services.model.engines.vllm.hosts import Host, Launch, OwnHost, RemoteHost
from services.model.flexolmo.build import ensure_merged
from services.model.settings import ModelSettings


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
    tokenizer = Tokenizer.load(directory)
    if settings.engine == "vllm":
        host = _host(directory, settings)
        return VllmEngine(host, directory, tokenizer.decode, settings.max_queue, notice, stopping=stopping), tokenizer
    limits = Limits(
        batch=settings.max_batch,
        queue=settings.max_queue,
        slots=settings.cache_slots,
        prefixes=settings.prefix_megabytes << 20,
        length=settings.max_length,
        threads=settings.threads,
    )
    return TransformersEngine(Checkpoint.load(directory, settings.dtype), tokenizer.decode, limits), tokenizer


def _host(directory: Path, settings: ModelSettings) -> Host:
    if settings.vllm_address and not settings.vllm_python:
        return RemoteHost(settings.vllm_address)
    if settings.vllm_python and not settings.vllm_address:
        return OwnHost(
            Launch(
                python=settings.vllm_python,
                directory=directory,
                dtype=settings.dtype,
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
