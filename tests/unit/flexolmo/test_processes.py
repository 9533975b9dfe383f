"""Processes that train one expert: killed, or several at once. They are forked, which spares them loading torch."""

import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from services.model.flexolmo.export import export
from services.model.flexolmo.processes import launched
from services.model.flexolmo.train import train
from services.model.flexolmo.training import Settings

Start = Callable[..., BaseProcess]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a process that calls a function; what still runs after the test is killed."""
    started: list[BaseProcess] = []

    def begin(function: Callable[..., None], *arguments: object) -> BaseProcess:
        process = multiprocessing.get_context("fork").Process(target=function, args=arguments)
        started.append(process)
        process.start()
        return process

    yield begin
    for process in started:
        if process.is_alive():
            process.kill()
        process.join()


def make(anchor: Path, texts: Path, out: Path, settings: Settings, environment: dict[str, str] | None = None) -> None:
    """Train the harbour's expert; the main process writes it."""
    os.environ.update(environment or {})
    here, elsewhere, resume = texts / "harbour", texts / "public", out.with_suffix(".training")
    with launched() as processes:
        trained = train(
            "harbour",
            anchor=anchor,
            texts=here,
            public=elsewhere,
            resume=resume,
            settings=settings,
            processes=processes,
        )
        if processes.main:
            export(trained, out)


def test_a_training_killed_with_sigkill_ends_with_the_weights_of_one_that_was_not(
    anchor: Path, texts: Path, tmp_path: Path, settings: Settings, start: Start
) -> None:
    long = replace(settings, steps=60)
    killed = start(make, anchor, texts, tmp_path / "killed.safetensors", long)
    while not (tmp_path / "killed.training").exists():
        assert killed.is_alive()
        time.sleep(0.005)
    killed.kill()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    assert not (tmp_path / "killed.safetensors").exists()

    for name in ("killed", "whole"):
        make(anchor, texts, tmp_path / f"{name}.safetensors", long)
    resumed, whole = load_file(tmp_path / "killed.safetensors"), load_file(tmp_path / "whole.safetensors")
    assert resumed.keys() == whole.keys()
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)


@pytest.mark.parametrize("blocks", [2, 3, 1])
def test_two_processes_train_the_expert_that_one_does(
    anchor: Path, texts: Path, tmp_path: Path, settings: Settings, *, start: Start, blocks: int
) -> None:
    short = replace(settings, steps=8, blocks=blocks)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    # What `accelerate launch` sets for each process it starts.
    shared = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    two = [
        start(make, anchor, texts, tmp_path / "two.safetensors", short, shared | {"RANK": rank, "LOCAL_RANK": rank})
        for rank in ("0", "1")
    ]
    for process in two:
        process.join()
        assert process.exitcode == 0
    make(anchor, texts, tmp_path / "one.safetensors", short)
    together, alone = load_file(tmp_path / "two.safetensors"), load_file(tmp_path / "one.safetensors")
    assert together.keys() == alone.keys()
    for name, tensor in alone.items():
        # Not element by element: where a gradient is near zero, Adam makes a step of the sign of its bf16 rounding.
        assert (together[name].float() - tensor.float()).norm() < 0.1 * tensor.float().norm(), name
    # ... which says something, because the factors that start at zero have moved.
    assert max(float(tensor.float().abs().max()) for name, tensor in alone.items() if name.endswith(".b")) > 0.01
