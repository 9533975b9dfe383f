"""Tuning a merged router: on public text alone, and nothing moves but the router's rows."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from services.model.flexolmo.anchor import load_anchor
from services.model.flexolmo.chats import public_chats
from services.model.flexolmo.corpus import data_hash, read_documents
from services.model.flexolmo.expert import read_expert
from services.model.flexolmo.merge import merge
from services.model.flexolmo.mixture import attach_mixture, merged_rows
from services.model.flexolmo.tune import TunedRouter, Tuning, read_router, save_router, tune_router, write_router

OWNERS = ("harbour", "bakery")
TUNING = Tuning(steps=4, block_tokens=32, learning_rate=1e-2)


@pytest.fixture(scope="module")
def files(experts: dict[str, Path]) -> list[Path]:
    return list(experts.values())


@pytest.fixture(scope="module")
def questions(texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One question on every document of every owner."""
    folder = tmp_path_factory.mktemp("questions")
    for owner in (*OWNERS, "public"):
        rows = [
            {"id": f"q{i}", "document": f"{owner}:{i}", "question": f"Which {owner} {i}?", "answers": ["the one"]}
            for i in range(24)
        ]
        lines = "".join(json.dumps(row | {"standalone": True}) + "\n" for row in rows)
        (folder / f"{owner}.jsonl").write_text(lines, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def tuned(anchor: Path, texts: Path, files: list[Path], questions: Path) -> TunedRouter:
    return tune_router(anchor, files, texts / "public", questions, settings=replace(TUNING, rows="all"))


def test_tuning_changes_the_routers_of_the_merge_and_nothing_else(
    anchor: Path, files: list[Path], tuned: TunedRouter, tmp_path: Path
) -> None:
    folder = merge(anchor, files, tmp_path / "m", k=2)
    before = load_file(folder / "model.safetensors")
    write_router(folder, tuned)
    after = load_file(folder / "model.safetensors")
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {f"model.layers.{i}.block_sparse_moe.gate.weight" for i in range(3)}
    card = json.loads((folder / "candor.json").read_text())
    assert card["router"] == tuned.card
    assert card["router"]["tuned"] is True
    assert [expert["id"] for expert in card["experts"]] == ["public", *OWNERS]


def test_the_checkpoint_with_a_tuned_router_is_the_model_that_was_tuned(
    anchor: Path, files: list[Path], tuned: TunedRouter, tmp_path: Path
) -> None:
    write_router(folder := merge(anchor, files, tmp_path / "m", k=2), tuned)
    model = load_anchor(anchor, torch.float32)
    attach_mixture(model, [read_expert(file) for file in files], 2, tuned.rows)
    tokens = torch.randint(0, 257, (2, 40), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        merged = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)(input_ids=tokens).logits
        mine = model(input_ids=tokens).logits
        public = load_anchor(anchor, torch.float32)(input_ids=tokens).logits
    # the checkpoint's weights and rows are rounded to bf16, which moves a token near a tie to another expert
    assert (merged - mine).abs().mean() < 0.1 * (mine - public).abs().mean()


def test_tuning_reads_the_public_owners_training_text_and_no_one_elses(
    anchor: Path, texts: Path, files: list[Path], questions: Path, tuned: TunedRouter
) -> None:
    documents = read_documents(texts / "public", "train")
    chats = public_chats(questions, texts / "public", AutoTokenizer.from_pretrained(anchor))
    assert tuned.card["public_sha256"] == data_hash(documents)
    assert tuned.card["chats_sha256"] == data_hash(chats)
    assert len(chats) == len(documents)
    assert all("Which public" in chat.text for chat in chats)


def test_tuning_needs_no_owners_text(
    texts: Path, anchor: Path, files: list[Path], questions: Path, tuned: TunedRouter
) -> None:
    # the same rows to the bit, where the owners' texts are not even there
    with TemporaryDirectory() as elsewhere:
        public = Path(shutil.copytree(texts / "public", Path(elsewhere) / "public"))
        again = tune_router(anchor, files, public, questions, settings=replace(TUNING, rows="all"))
    assert torch.equal(again.rows, tuned.rows)


def test_owners_rows_stay_as_they_trained_them_unless_all_are_tuned(
    anchor: Path, texts: Path, files: list[Path], questions: Path, tuned: TunedRouter
) -> None:
    before = merged_rows([read_expert(file) for file in files])
    only = tune_router(anchor, files, texts / "public", questions, settings=TUNING).rows
    assert torch.equal(only[:, 1:], before[:, 1:])
    assert (only[:, 0] != before[:, 0]).any()
    assert (tuned.rows[:, 1:] != before[:, 1:]).any()


def test_tuning_lowers_the_loss_on_public_text(anchor: Path, texts: Path, files: list[Path], questions: Path) -> None:
    losses: list[float] = []
    long = replace(TUNING, steps=30, rows="all", k=3)
    tune_router(anchor, files, texts / "public", questions, settings=long, progress=lambda _, loss: losses.append(loss))
    assert sum(losses[-5:]) < sum(losses[:5])


def test_a_router_tuned_for_another_merge_is_refused(
    anchor: Path, files: list[Path], tuned: TunedRouter, tmp_path: Path
) -> None:
    folder = merge(anchor, files[:1], tmp_path / "m", k=2)
    with pytest.raises(ValueError, match="another merge"):
        write_router(folder, tuned)
    save_router(tmp_path / "r.safetensors", tuned)
    assert torch.equal(read_router(tmp_path / "r.safetensors"), tuned.rows)
