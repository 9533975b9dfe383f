"""Processes that train one expert: killed, or several at once. Each is the command that an owner starts."""

import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.unit.flexolmo.command import Command

Start = Callable[..., Command]


@pytest.fixture
def start(anchor: Path, texts: Path) -> Iterator[Start]:
    """Starts a training of the harbour's expert; what still runs after the test is killed."""
    started: list[Command] = []
    files = ["--anchor", anchor, "--data", texts / "harbour/notes.jsonl", "--public", texts / "public/notes.jsonl"]
    tiny = ["--rank", 4, "--block-tokens", 32, "--learning-rate", 0.03, "--threads", 1]

    def begin(out: Path, *options: object, **environment: str) -> Command:
        place = ["--out", out, "--checkpoint", out.with_suffix(".training")]
        line = ["expert", "train", "--owner", "harbour", *files, *tiny, *options, *place]
        log = out.with_suffix(f".{len(started)}.log")
        started.append(Command(list(map(str, line)), environment, log))
        return started[-1]

    yield begin
    for command in started:
        command.kill()


def test_a_training_killed_with_sigkill_ends_with_the_weights_of_one_that_was_not(tmp_path: Path, start: Start) -> None:
    files = [tmp_path / "killed.safetensors", tmp_path / "whole.safetensors"]
    budget = ("--steps", 60, "--blocks", 2)
    killed, whole = [start(file, *budget) for file in files]
    killed.until("step 20/60")
    assert killed.kill() == -signal.SIGKILL
    assert not files[0].exists()

    resumed = start(files[0], *budget)
    assert "step 10/60" not in resumed.finish()
    assert "step 10/60" in whole.finish()
    ours, theirs = map(load_file, files)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize("blocks", [2, 3, 1])
def test_two_processes_train_the_expert_that_one_does(tmp_path: Path, start: Start, blocks: int) -> None:
    budget = ("--steps", 8, "--blocks", blocks)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    # What `accelerate launch` sets for each process it starts.
    shared = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    files = [tmp_path / "one.safetensors", tmp_path / "two.safetensors"]
    two = [start(files[1], *budget, RANK=rank, LOCAL_RANK=rank, **shared) for rank in ("0", "1")]
    one = start(files[0], *budget)
    for command in (*two, one):
        command.finish()
    alone, together = map(load_file, files)
    assert together.keys() == alone.keys()
    for name, tensor in alone.items():
        # Not element by element: where a gradient is near zero, Adam makes a step of the sign of its bf16 rounding.
        assert (together[name].float() - tensor.float()).norm() < 0.1 * tensor.float().norm(), name
    # ... which says something, because the factors that start at zero have moved.
    assert max(float(tensor.float().abs().max()) for name, tensor in alone.items() if name.endswith(".b")) > 0.01
