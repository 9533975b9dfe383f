"""Processes that train one expert: killed, or several at once. Each is a real process of the command line."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

SETTINGS = ("--blocks", "2", "--block-tokens", "32", "--rank", "4", "--learning-rate", "1e-2", "--threads", "1")


def command(anchor: Path, texts: Path, out: Path, steps: int) -> list[str]:
    """Arguments of python that train the harbour's expert."""
    data, public = (str(texts / owner / "notes.jsonl") for owner in ("harbour", "public"))
    named = ("--anchor", str(anchor), "--owner", "harbour", "--data", data, "--public", public, "--steps", str(steps))
    files = ("--out", str(out), "--checkpoint", str(out.with_suffix(".training")))
    return ["-m", "gateway.cli", "expert", "train", *named, *SETTINGS, *files]


def finished(process: "subprocess.Popen[str]") -> str:
    said, errors = process.communicate()
    assert process.returncode == 0, errors
    return said


def start(arguments: list[str], **environment: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_training_killed_with_sigkill_ends_with_the_weights_of_one_that_was_not(
    anchor: Path, texts: Path, tmp_path: Path
) -> None:
    whole = start(command(anchor, texts, tmp_path / "whole.safetensors", steps=60))
    killed = start(command(anchor, texts, tmp_path / "killed.safetensors", steps=60))
    while not (tmp_path / "killed.training").exists():
        assert killed.poll() is None, killed.communicate()
        time.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "killed.safetensors").exists()

    said = finished(start(command(anchor, texts, tmp_path / "killed.safetensors", steps=60)))
    assert "Trained on 18 documents" in said
    finished(whole)
    resumed, expected = load_file(tmp_path / "killed.safetensors"), load_file(tmp_path / "whole.safetensors")
    assert resumed.keys() == expected.keys()
    assert all(torch.equal(resumed[name], expected[name]) for name in expected)


@pytest.mark.parametrize("blocks", ["2", "3"])
def test_two_processes_train_the_expert_that_one_does(anchor: Path, texts: Path, tmp_path: Path, blocks: str) -> None:
    one, two = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    alone = start([*command(anchor, texts, one, steps=8), "--blocks", blocks])
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    # What `accelerate launch` sets for each process it starts.
    shared = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    ranks = [
        start([*command(anchor, texts, two, steps=8), "--blocks", blocks], **shared, RANK=str(i), LOCAL_RANK=str(i))
        for i in range(2)
    ]
    first, second = map(finished, ranks)
    finished(alone)
    assert "Wrote" in first
    assert second == ""
    together, expected = load_file(two), load_file(one)
    assert together.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(together[name].float(), tensor.float(), atol=2e-3, rtol=0.05, msg=name)
    # ... which says something, because the factors that start at zero have moved.
    assert max(float(tensor.float().abs().max()) for name, tensor in expected.items() if name.endswith(".b")) > 0.01
