"""Encoders of other kinds than the default: sentence-transformers folders against that library, GRIT and ReasonIR
against a direct implementation of a Llama that attends both ways, WordLlama against its own package."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM

from services.retrieval.encoders.base import describe, load
from services.retrieval.encoders.published import PUBLISHED, warnings
from services.retrieval.encoders.recipe import Unsupported
from services.retrieval.encoders.wordllama import TOKENIZER, WEIGHTS
from services.retrieval.settings import RetrievalSettings

TEXTS = ["How do I open a file?", "Reading files with open() and closing them with close().", "Cats sleep."]


def nearly(made: NDArray[np.float32], truth: NDArray[np.float32]) -> bool:
    """To the precision of bfloat16."""
    unit = truth / np.linalg.norm(truth, axis=1, keepdims=True)
    return bool(((made * unit).sum(1) > 0.999).all())


def folder_of(home: Path, source: Path, pooling: dict[str, Any], settings: dict[str, Any] | None = None) -> Path:
    """The small model's weights with another pooling and prompts, as sentence-transformers keeps them."""
    folder = home / "models" / "other"
    shutil.copytree(source, folder)
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 384, **pooling}))
    (folder / "config_sentence_transformers.json").write_text(json.dumps(settings or {}))
    return folder


@pytest.mark.parametrize(
    ("mode", "included"),
    [("mean_tokens", True), ("mean_tokens", False), ("cls_token", True), ("lasttoken", True), ("lasttoken", False)],
)
def test_pooling_and_prompts_are_those_of_sentence_transformers(
    tmp_path: Path, candor_home: Path, mode: str, included: bool
) -> None:
    from sentence_transformers import SentenceTransformer

    modes = {f"pooling_mode_{name}": name == mode for name in ("mean_tokens", "cls_token", "lasttoken")}
    settings = {"prompts": {"query": "search query: ", "document": "text: "}}
    pooling = modes | {"include_prompt": included}
    folder = folder_of(tmp_path, candor_home / "models" / "minilm", pooling, settings)
    theirs, ours = SentenceTransformer(str(folder), device="cpu"), load(describe("other", tmp_path))
    assert nearly(ours.encode(TEXTS), theirs.encode_document(TEXTS))
    assert nearly(ours.encode_queries(TEXTS), theirs.encode_query(TEXTS))
    assert not nearly(ours.encode(TEXTS), ours.encode_queries(TEXTS))


def test_what_no_encoder_here_does_is_refused_with_its_name(tmp_path: Path, candor_home: Path) -> None:
    folder = folder_of(tmp_path, candor_home / "models" / "minilm", {"pooling_mode_max_tokens": True})
    with pytest.raises(Unsupported, match="'max'"):
        describe("other", tmp_path)
    (folder / "modules.json").write_text(json.dumps([{"type": "sentence_transformers.models.Dense"}]))
    with pytest.raises(Unsupported, match="'Dense'"):
        describe("other", tmp_path)


def test_the_revision_changes_with_the_prompts_and_the_pooling(tmp_path: Path, candor_home: Path) -> None:
    plain = {"pooling_mode_mean_tokens": True}
    folder = folder_of(tmp_path, candor_home / "models" / "minilm", plain)
    revisions = [describe("other", tmp_path).revision]
    (folder / "config_sentence_transformers.json").write_text(json.dumps({"prompts": {"query": "q: "}}))
    revisions.append(describe("other", tmp_path).revision)
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_cls_token": True}))
    revisions.append(describe("other", tmp_path).revision)
    assert len(set(revisions)) == 3


SIZES: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "vocab_size": 49152,
    "initializer_range": 0.3,
}


@pytest.fixture(scope="module")
def instructed(tmp_path_factory: pytest.TempPathFactory, candor_home: Path) -> Path:
    """A home with random checkpoints of the two classes, small, with a real tokenizer."""
    home = tmp_path_factory.mktemp("home")
    torch.manual_seed(0)
    made = {
        "reasonir-8b": LlamaForCausalLM(LlamaConfig(**SIZES)),
        # a window so small that it would show if it were kept
        "gritlm-7b": MistralForCausalLM(MistralConfig(**SIZES, sliding_window=4)),
    }
    for name, model in made.items():
        folder = home / "models" / name
        model.save_pretrained(folder)
        shutil.copy(candor_home / "models" / "smollm2-135m-instruct" / "tokenizer.json", folder)
    return home


def hidden_states(folder: Path, ids: list[int], *, causal: bool = False) -> Tensor:
    """(tokens, dimension) of a Llama, written down directly: RMSNorm, rotary positions, grouped heads, SwiGLU."""
    from safetensors.torch import load_file

    config = json.loads((folder / "config.json").read_text())
    weights = {
        name.removeprefix("model."): one.float() for name, one in load_file(folder / "model.safetensors").items()
    }
    heads, groups = config["num_attention_heads"], config["num_key_value_heads"]
    size, count = config["hidden_size"] // heads, len(ids)
    theta = config["rope_parameters"]["rope_theta"]
    angles = torch.outer(torch.arange(count).float(), theta ** (-torch.arange(0, size, 2).float() / size))
    cos, sin = torch.cat([angles, angles], 1).cos(), torch.cat([angles, angles], 1).sin()

    def normed(values: Tensor, name: str) -> Tensor:
        mean = values.pow(2).mean(-1, keepdim=True)
        return values * torch.rsqrt(mean + config["rms_norm_eps"]) * weights[name + ".weight"]

    def turned(values: Tensor) -> Tensor:
        half = torch.cat([-values[..., size // 2 :], values[..., : size // 2]], -1)
        return values * cos + half * sin

    hidden = weights["embed_tokens.weight"][ids]
    for layer in range(config["num_hidden_layers"]):
        place = f"layers.{layer}"
        entered = normed(hidden, f"{place}.input_layernorm")
        query, key, value = (
            (entered @ weights[f"{place}.self_attn.{part}_proj.weight"].T).view(count, -1, size).transpose(0, 1)
            for part in "qkv"
        )
        key, value = (one.repeat_interleave(heads // groups, 0) for one in (turned(key), value))
        scores = turned(query) @ key.transpose(1, 2) / math.sqrt(size)
        if causal:
            scores = scores.masked_fill(torch.ones(count, count).triu(1).bool(), -torch.inf)
        attended = (scores.softmax(-1) @ value).transpose(0, 1).reshape(count, -1)
        hidden = hidden + attended @ weights[f"{place}.self_attn.o_proj.weight"].T
        entered = normed(hidden, f"{place}.post_attention_layernorm")
        gate, up = (entered @ weights[f"{place}.mlp.{part}_proj.weight"].T for part in ("gate", "up"))
        hidden = hidden + (torch.nn.functional.silu(gate) * up) @ weights[f"{place}.mlp.down_proj.weight"].T
    return normed(hidden, "norm")


@pytest.mark.parametrize("name", ["reasonir-8b", "gritlm-7b"])
def test_an_instructed_model_attends_both_ways_and_its_instruction_has_no_part_in_the_mean(
    instructed: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tokenizers import Tokenizer

    # random weights are harder on bfloat16 than trained ones: 0.9988
    monkeypatch.setattr("services.retrieval.encoders.transformer.fast_dtype", lambda: "float32")
    card = describe(name, instructed)
    encoder, known = load(card), PUBLISHED[name]
    tokenizer = Tokenizer.from_file(str(card.folder / "tokenizer.json"))

    def truth(prompt: str, *, causal: bool = False, whole: bool = False) -> NDArray[np.float32]:
        told = 0 if whole else len(tokenizer.encode(prompt).ids)
        rows = [hidden_states(card.folder, tokenizer.encode(prompt + text).ids, causal=causal) for text in TEXTS]
        return np.stack([row[told:].mean(0).numpy() for row in rows])

    assert "<|user|>" in known.query
    assert nearly(encoder.encode_queries(TEXTS), truth(known.query))
    assert nearly(encoder.encode(TEXTS), truth(known.document))
    assert nearly(encoder.encode_alone(TEXTS), truth(known.document))
    assert not nearly(encoder.encode_queries(TEXTS), truth(known.query, causal=True))
    assert not nearly(encoder.encode_queries(TEXTS), truth(known.query, whole=True))


def test_the_limit_of_an_instructed_model_is_the_published_one_or_its_positions(instructed: Path) -> None:
    card = describe("gritlm-7b", instructed)
    assert card.max_tokens == 512
    words = "word " * 600
    one, other = load(card).encode([words + "cats", words + "ships"])
    np.testing.assert_array_equal(one, other)


def test_wordllama_gives_the_vectors_of_its_package(tmp_path: Path) -> None:
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer
    from wordllama import WordLlamaInference

    encoder = load(describe("wordllama", tmp_path))
    (vectors,) = load_file(encoder.card.folder / WEIGHTS).values()
    tokenizer = Tokenizer.from_file(str(encoder.card.folder / TOKENIZER))
    theirs = WordLlamaInference(vectors, tokenizer).embed(TEXTS, norm=True)
    assert isinstance(theirs, np.ndarray)
    np.testing.assert_allclose(encoder.encode(TEXTS), theirs, atol=1e-3)
    np.testing.assert_array_equal(encoder.encode_queries(TEXTS), encoder.encode(TEXTS))
    assert encoder.card.dimension == theirs.shape[1]
    assert not encoder.encode([""]).any()


def test_no_default_is_licensed_for_non_commercial_use_only_and_whoever_chooses_one_is_told() -> None:
    assert PUBLISHED[RetrievalSettings().encoder].commercial
    assert {name for name in PUBLISHED if warnings(name)} == {"reasonir-8b", "contriever"}
    assert "CC-BY-NC-4.0" in warnings("reasonir-8b")[0]
