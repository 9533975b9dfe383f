"""What the commands that train an encoder refuse, and in which words."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli.app import app
from gateway.cli.failure import Failure
from services.retrieval.encoders.base import describe
from services.retrieval.training.pairs import Pair
from services.retrieval.training.record import Recipe, Record


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With the encoders `minilm` and, said to be trained with half held out, `tuned`: their files without weights."""
    monkeypatch.setenv("CANDOR_HOME", str(tmp_path))
    for name in ("minilm", "tuned", "unknown"):
        folder = tmp_path / "models" / name
        (folder / "1_Pooling").mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps({"hidden_size": 4, "max_position_embeddings": 8}))
        (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_mean_tokens": True}))
        for file in ("tokenizer.json", "model.safetensors"):
            (folder / file).write_text("{}")
    pair = Pair("q", "p", "n", "question", "papers", "d", "MIT", "e", 0.5)
    card = describe("minilm", tmp_path)
    Record.of(card, [pair], Recipe(1, 2, 2, 8)).write(tmp_path / "models" / "tuned", [])
    return tmp_path


def refused(*words: str) -> str:
    result = CliRunner().invoke(app, ["retriever", *words])
    assert isinstance(result.exception, Failure), result.output
    return str(result.exception)


def test_a_base_that_was_not_pulled_is_named_with_the_command_that_fetches_it(home: Path) -> None:
    for words in (
        ("build-pairs", "--owner", "papers", "--out", str(home / "pairs")),
        ("train", "--data", str(home / "pairs"), "--out", str(home / "out")),
        ("evaluate", "--tuned", "tuned", "--owner", "papers"),
    ):
        said = refused(*words, "--base", "absent")
        assert "--base" in said
        assert "candor data pull" in said
    assert not (home / "pairs").exists()


def test_an_encoder_is_evaluated_by_the_share_it_was_trained_with_and_by_no_other(home: Path) -> None:
    asked = ("evaluate", "--owner", "papers", "--tuned")
    assert "trained with 0.5" in refused(*asked, "tuned", "--held", "0.4")
    assert "--held: " in refused(*asked, str(home / "models" / "unknown"))
    assert "no datastore 'main'" in refused(*asked, "tuned"), "the share is that of training.json"
    assert "no datastore 'main'" in refused(*asked, "unknown", "--held", "0.4")


def test_questions_are_of_owners_or_of_a_folder(home: Path) -> None:
    assert "--owner or --beir" in refused("evaluate", "--tuned", "tuned")
    assert "--owner or --beir" in refused("evaluate", "--tuned", "tuned", "--owner", "papers", "--beir", str(home))


def test_pairs_that_are_not_there_or_are_fewer_than_a_batch_are_refused(home: Path) -> None:
    train = ("train", "--out", str(home / "out"), "--data", str(home / "pairs.jsonl"))
    assert "candor retriever build-pairs" in refused(*train)
    (home / "pairs.jsonl").write_text("")
    assert "--batch 256" in refused(*train)
    assert not (home / "out").exists()


def test_a_kind_of_pairs_that_there_is_not_is_refused(home: Path) -> None:
    words = ("--owner", "papers", "--out", str(home / "out"), "--model", "http://127.0.0.1:9", "--model-name", "m")
    assert "--kinds: 'hard,odd'" in refused("synthesise", *words, "--kinds", "hard,odd")
