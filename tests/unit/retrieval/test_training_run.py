"""Training runs of an encoder, on a BERT of two layers with random weights."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from services.retrieval.encoders.base import Card, describe, load
from services.retrieval.training.pairs import Pair
from services.retrieval.training.record import Recipe, read_record
from services.retrieval.training.train import NotTheSameRun, train

PAIRS = [Pair(f"w{n}", f"w{n} w{n + 1}", f"w{n + 2}", "question", "a", f"d{n}", "MIT", f"e{n}", 0.5) for n in range(8)]
RECIPE = Recipe(steps=4, batch=4, mini_batch=2, max_tokens=16, learning_rate=1e-3)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Card:
    """As a folder of sentence-transformers."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    home = tmp_path_factory.mktemp("home")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{number}" for number in range(40))]
    tokenizer = Tokenizer(WordLevel({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    plain = home / "plain"
    PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    ).save_pretrained(plain)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=32,
    )
    BertModel(config).save_pretrained(plain)
    folder = home / "models" / "tiny"
    SentenceTransformer(modules=[Transformer(str(plain)), Pooling(32, "mean")], device="cpu").save(str(folder))
    pooling = {"word_embedding_dimension": 32, "pooling_mode_mean_tokens": True}  # as models are published
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    return describe("tiny", home)


def test_a_trained_encoder_loads_by_name_and_says_whose_data_it_was_trained_on(base: Card) -> None:
    out = base.folder.with_name("tuned")
    told: list[int] = []
    losses = train(base, PAIRS, out, RECIPE, told.append)
    assert told == [1, 2, 3, 4]
    assert len(losses) == 4
    record = read_record(out)
    assert record
    assert (record.owners, record.licences, record.pairs, record.held) == (["a"], ["MIT"], 8, 0.5)
    assert (record.base, record.base_revision, record.recipe) == ("tiny", base.revision, RECIPE)
    tuned = describe("tuned", base.folder.parents[1])
    assert tuned.revision != base.revision
    assert np.abs(load(base).encode(["w1 w2"]) - load(tuned).encode(["w1 w2"])).max() > 0
    with pytest.raises(FileExistsError, match="choose another folder"):
        train(base, PAIRS, out, RECIPE, told.append)


class Cut(Exception):
    """Ends a run in its midst."""


def test_a_run_that_was_cut_off_goes_on_to_the_weights_of_one_that_was_not(base: Card, tmp_path: Path) -> None:
    def cut(step: int) -> None:
        if step == 3:
            raise Cut

    train(base, PAIRS, tmp_path / "whole", RECIPE, lambda _: None)
    with pytest.raises(Cut):
        train(base, PAIRS, tmp_path / "cut", RECIPE, cut)
    assert not (tmp_path / "cut").exists()
    with pytest.raises(NotTheSameRun, match="remove the folder"):
        train(base, PAIRS[::-1], tmp_path / "cut", RECIPE, cut)
    with pytest.raises(NotTheSameRun):
        train(base, PAIRS, tmp_path / "cut", replace(RECIPE, learning_rate=1e-4), cut)
    told: list[int] = []
    train(base, PAIRS, tmp_path / "cut", RECIPE, told.append)
    assert told == [3, 4]
    whole, resumed = (load(describe(str(tmp_path / name), tmp_path)) for name in ("whole", "cut"))
    texts = [pair.positive for pair in PAIRS]
    np.testing.assert_allclose(whole.encode(texts), resumed.encode(texts), atol=1e-5)
    assert not (tmp_path / "cut.checkpoints").exists()


def test_it_trains_in_the_format_of_a_processor_that_multiplies_bfloat16(
    base: Card, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.retrieval.training.train.fast_dtype", lambda: "bfloat16")
    losses = train(base, PAIRS, tmp_path / "out", RECIPE, lambda _: None)
    assert np.isfinite(losses).all()


def test_the_loss_does_not_depend_on_what_is_in_memory_at_once(base: Card, tmp_path: Path) -> None:
    still = tmp_path / "models" / "still"
    shutil.copytree(base.folder, still)
    config = json.loads((still / "config.json").read_text())
    without = config | {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (still / "config.json").write_text(json.dumps(without))
    card, recipe = describe("still", tmp_path), replace(RECIPE, steps=1)
    (cached,) = train(card, PAIRS, tmp_path / "cached", recipe, lambda _: None)
    (plain,) = train(card, PAIRS, tmp_path / "together", replace(recipe, mini_batch=4), lambda _: None)
    assert cached == pytest.approx(plain, abs=1e-3)
