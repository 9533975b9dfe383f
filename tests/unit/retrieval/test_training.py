"""Pairs and training of the encoder."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.retrieval.encoders.base import describe, load
from services.retrieval.training.pairs import Pair, Question, hard_negative, questions
from services.retrieval.training.split import held_out
from services.retrieval.training.train import Recipe, train


@given(st.lists(st.tuples(st.floats(-1, 1, width=32), st.booleans()), min_size=1), st.floats(-1, 1))
def test_a_hard_negative_is_the_best_allowed_passage_below_the_limit(
    passages: list[tuple[float, bool]], limit: float
) -> None:
    scores = np.array([score for score, _ in passages], np.float32)
    chosen = hard_negative(scores, np.array([allowed for _, allowed in passages]), limit)
    fit = [score for score, allowed in passages if allowed and score <= limit]
    assert (None if chosen is None else scores[chosen]) == max(fit, default=None)
    assert chosen is None or passages[chosen][1]


def test_about_the_share_of_documents_is_held_out() -> None:
    held = sum(held_out(f"squad:{number}", 0.3) for number in range(5000))
    assert 1350 < held < 1650
    assert not held_out("a", 0)
    assert held_out("a", 1)


def test_only_questions_of_the_owners_that_stand_alone_are_asked(tmp_path: Path) -> None:
    rows = [
        {"question": "kept", "owner": "a", "document": "d", "standalone": True},
        {"question": "of another", "owner": "b", "document": "d", "standalone": True},
        {"question": "needs context", "owner": "a", "document": "d", "standalone": False},
        {"question": "no document", "owner": "a", "document": None, "standalone": True},
    ]
    (tmp_path / "set.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert questions(tmp_path, ["a"]) == [Question("kept", "d", "a")]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of two layers with random weights, as a folder of sentence-transformers."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    home = tmp_path_factory.mktemp("home")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{number}" for number in range(40))]
    (home / "vocab.txt").write_text("\n".join(words))
    plain = home / "plain"
    BertTokenizerFast(str(home / "vocab.txt")).save_pretrained(plain)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=32,
    )
    BertModel(config).save_pretrained(plain)
    body = Transformer(str(plain))
    folder = home / "models" / "tiny"
    SentenceTransformer(modules=[body, Pooling(32, "mean")], device="cpu").save(str(folder))
    pooling = {"word_embedding_dimension": 32, "pooling_mode_mean_tokens": True}  # as models are published
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    return folder


def test_a_trained_encoder_loads_by_name_and_says_whose_data_it_was_trained_on(tiny: Path) -> None:
    pairs = [Pair(f"w{n}", f"w{n} w{n + 1}", f"w{n + 2}", "question", "a", f"d{n}", "MIT", f"e{n}") for n in range(8)]
    out = tiny.parent / "tuned"
    losses = train(tiny, pairs, out, Recipe(steps=3, batch=4, mini_batch=2, max_tokens=16))
    assert len(losses) == 3
    report = json.loads((out / "training.json").read_text())
    assert (report["owners"], report["licences"], report["pairs"]) == (["a"], ["MIT"], 8)
    before, after = (describe(name, tiny.parents[1]) for name in ("tiny", "tuned"))
    assert before.revision != after.revision
    assert np.abs(load(before).encode(["w1 w2"]) - load(after).encode(["w1 w2"])).max() > 0
