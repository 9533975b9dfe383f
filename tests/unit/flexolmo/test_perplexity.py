"""Held-out windows, perplexity and its intervals, against direct computations."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from transformers import AutoTokenizer

from services.model.flexolmo.anchor import load_anchor
from services.model.flexolmo.export import export
from services.model.flexolmo.heldout import read_heldout
from services.model.flexolmo.matrix import measure, variants
from services.model.flexolmo.perplexity import Scores, change, score
from services.model.flexolmo.report import BEGIN, END, write
from services.model.flexolmo.train import Trained

OWNERS = ("harbour", "bakery", "public")


def scores(per_token: list[float], tokens: int = 50) -> Scores:
    """A document an entry, with that mean negative log-likelihood."""
    counts = np.full(len(per_token), tokens)
    return Scores(np.array(per_token) * counts, counts)


def test_perplexity_equals_cross_entropy_of_each_document_on_its_own(anchor: Path, texts: Path) -> None:
    model, tokenizer = load_anchor(anchor, torch.float32), AutoTokenizer.from_pretrained(anchor)
    text = read_heldout(texts / "harbour", tokenizer, windows=9, per_document=3, length=40)
    got = score(model, text, batch=4)
    expected = np.zeros(text.documents)
    for window, document in zip(text.windows, text.document, strict=True):
        logits = model(input_ids=window[None]).logits[0, :-1]
        expected[document] += F.cross_entropy(logits, window[1:], reduction="sum").item()
    np.testing.assert_allclose(got.nll, expected, rtol=1e-4)
    assert got.perplexity == pytest.approx(np.exp(expected.sum() / got.tokens.sum()), rel=1e-4)


def test_windows_score_each_token_of_a_document_once(anchor: Path, texts: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(anchor)
    text = read_heldout(texts / "harbour", tokenizer, windows=1000, per_document=1000, length=40)
    rows = [json.loads(line) for line in (texts / "harbour" / "notes.jsonl").read_text().splitlines()]
    whole = [tokenizer(row["text"]).input_ids for row in rows if row["split"] == "heldout"]
    assert sum(len(window) - 1 for window in text.windows) == sum(map(len, whole))
    assert text.documents == len(whole)


def test_a_heldout_document_that_the_training_text_repeats_is_left_out(
    anchor: Path, texts: Path, tmp_path: Path
) -> None:
    lines = (texts / "harbour" / "notes.jsonl").read_text().splitlines()
    train = next(row for row in map(json.loads, lines) if row["split"] == "train")
    copy = train | {"id": "harbour:copy", "split": "heldout"}
    folder = tmp_path / "harbour"
    folder.mkdir()
    (folder / "notes.jsonl").write_text("\n".join([*lines, json.dumps(copy)]))
    tokenizer = AutoTokenizer.from_pretrained(anchor)
    text = read_heldout(folder, tokenizer, windows=100, per_document=9, length=40)
    assert (text.near_copies, text.documents) == (1, 6)


def test_a_constant_gain_is_certain_and_a_noisy_one_is_not() -> None:
    noise = np.random.default_rng(1).normal(size=40)
    before = scores((3 + noise / 4).tolist())
    better = scores((3 + noise / 4 - 0.1).tolist())
    certain = change(before, better)
    assert certain.mean == pytest.approx(np.exp(-0.1) - 1)
    assert certain.lower
    assert certain.high - certain.low < 1e-6
    random = change(before, scores((3 + np.random.default_rng(2).normal(size=40) / 4).tolist()))
    assert not random.lower
    assert random.low < 0 < random.high


def test_models_that_scored_different_documents_are_not_compared() -> None:
    with pytest.raises(ValueError, match="same documents"):
        change(scores([3.0, 3.1]), scores([3.0, 3.1], tokens=51))


def test_the_matrix_is_measured_once_and_written_into_the_page(
    anchor: Path, texts: Path, trained: dict[str, Trained], tmp_path: Path
) -> None:
    files = {name: export(trained[name], tmp_path / f"{name}.safetensors") for name in OWNERS}
    owners = ("harbour", "bakery")

    def run() -> dict[str, dict[str, Scores]]:
        folders = [texts / name for name in OWNERS]
        models = variants(owners, "public")
        return measure(anchor, files, models, folders, tmp_path / "work", windows=8, per_document=2)

    matrix = run()
    assert list(matrix) == [
        "public",
        *("harbour alone", "bakery alone", "public alone"),
        *("all, k = 2", "all, k = 3"),
        *("without harbour", "without bakery"),
    ]
    for owner in OWNERS:
        assert matrix[f"{owner} alone"][owner].perplexity < matrix["public"][owner].perplexity
    stamps = {file: file.stat().st_mtime_ns for file in (tmp_path / "work").iterdir()}
    assert run()["public"]["bakery"].perplexity == matrix["public"]["bakery"].perplexity
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "work").iterdir()} == stamps

    page = tmp_path / "page.md"
    page.write_text(f"Before\n{BEGIN}\nold\n{END}\nAfter\n")
    write(matrix, owners, "public", page, tmp_path / "results.json")
    text = page.read_text()
    assert text.startswith("Before\n")
    assert text.endswith("After\n")
    assert "old" not in text
    assert f"| public | {matrix['public']['harbour'].perplexity:.2f}<br>(" in text
    results = json.loads((tmp_path / "results.json").read_text())
    against = change(matrix["public alone"]["harbour"], matrix["harbour alone"]["harbour"])
    assert results["experts"]["harbour"]["against_control"]["mean"] == pytest.approx(against.mean, abs=1e-4)
    assert results["experts"]["harbour"]["beats_the_control"] == (against.high < 0)
