"""The dense baseline: trained on the union of the owners' text, with the summed budget."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer

from services.model.flexolmo.anchor import WrongAnchor, load_anchor
from services.model.flexolmo.baselines import with_dense
from services.model.flexolmo.checkpoint import OtherTraining
from services.model.flexolmo.corpus import Blocks, read_documents
from services.model.flexolmo.dense import read_dense
from services.model.flexolmo.dense_training import train_dense
from services.model.flexolmo.heldout import read_heldout
from services.model.flexolmo.optimise import Progress
from services.model.flexolmo.perplexity import score
from services.model.flexolmo.training import Settings

OWNERS = ("harbour", "bakery")


def folders(texts: Path) -> list[Path]:
    return [texts / owner for owner in OWNERS]


def test_a_dense_model_learns_every_owners_text(anchor: Path, texts: Path, tmp_path: Path, settings: Settings) -> None:
    file = train_dense(anchor, folders(texts), tmp_path / "d.safetensors", settings=replace(settings, steps=20))
    tokenizer = AutoTokenizer.from_pretrained(anchor)
    trained = with_dense(anchor, read_dense(file, anchor))
    for folder in folders(texts):
        heldout = read_heldout(folder, tokenizer, windows=8, per_document=2, length=40)
        assert score(trained, heldout).perplexity < 0.95 * score(load_anchor(anchor), heldout).perplexity


def test_every_step_has_as_many_blocks_of_each_owner_and_they_are_those_its_expert_sees(
    anchor: Path, texts: Path, tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[torch.Tensor] = []
    batch = Blocks.batch

    def recorded(self: Blocks, step: int, size: int) -> torch.Tensor:
        seen.append(batch(self, step, size))
        return seen[-1]

    monkeypatch.setattr(Blocks, "batch", recorded)
    train_dense(anchor, folders(texts), tmp_path / "d.safetensors", settings=replace(settings, blocks=4, steps=3))
    tokenizer = AutoTokenizer.from_pretrained(anchor)
    for place, folder in enumerate(folders(texts)):
        blocks = Blocks(read_documents(folder, "train"), tokenizer, settings.block_tokens, settings.seed)
        assert torch.equal(torch.cat(seen[place : 6 : len(OWNERS)]), batch(blocks, 0, 6))


def test_a_killed_dense_training_resumes_to_the_weights_of_one_that_was_not(
    anchor: Path, texts: Path, tmp_path: Path, settings: Settings
) -> None:
    def stop(now: Progress) -> None:
        if now.step == 12:
            raise KeyboardInterrupt

    long = replace(settings, steps=14)
    whole = train_dense(anchor, folders(texts), tmp_path / "whole.safetensors", settings=long)
    with pytest.raises(KeyboardInterrupt):
        train_dense(anchor, folders(texts), tmp_path / "d.safetensors", settings=long, progress=stop)
    resumed = train_dense(anchor, folders(texts), tmp_path / "d.safetensors", settings=long)
    first, second = load_file(whole), load_file(resumed)
    assert all(torch.equal(first[name], second[name]) for name in first)
    with pytest.raises(OtherTraining, match="rank"):
        train_dense(anchor, folders(texts), tmp_path / "d.safetensors", settings=replace(long, rank=2))


def test_a_dense_baseline_of_another_anchor_is_refused(
    anchor: Path, other_anchor: Path, texts: Path, tmp_path: Path, settings: Settings
) -> None:
    file = train_dense(anchor, folders(texts), tmp_path / "d.safetensors", settings=replace(settings, steps=1))
    with pytest.raises(WrongAnchor):
        read_dense(file, other_anchor)
    with pytest.raises(ValueError, match="shared evenly"):
        train_dense(anchor, folders(texts), file, settings=replace(settings, blocks=3))
