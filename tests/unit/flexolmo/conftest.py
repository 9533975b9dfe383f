"""Tiny random anchors of every family (byte-level tokenizer) and owners' documents, as the product reads them."""

import json
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    FlexOlmoConfig,
    LlamaConfig,
    MixtralConfig,
    Olmo2Config,
    OlmoeConfig,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
)

from services.model.flexolmo.export import export
from services.model.flexolmo.train import Trained, train
from services.model.flexolmo.training import Settings

OWNERS = {
    "harbour": "tide quay gale mooring boat anchor rope pilot buoy lighthouse dredge lock ferry crane",
    "bakery": "rye dough oven loaf knead crust flour yeast stone sieve butter glaze proof batch",
    "public": "street house letter morning answer table window garden number teacher river story music road",
}


@pytest.fixture(scope="session")
def settings() -> Settings:
    return Settings(rank=4, steps=6, blocks=2, block_tokens=32, warmup=2, learning_rate=1e-2, domain_blocks=4)


@pytest.fixture(scope="session")
def anchor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_anchor(tmp_path_factory.mktemp("anchor"), seed=0)


@pytest.fixture(scope="session")
def other_anchor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_anchor(tmp_path_factory.mktemp("other"), seed=1)


@pytest.fixture(scope="session")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a sub-folder of JSONL documents for each of OWNERS."""
    folder = tmp_path_factory.mktemp("texts")
    for seed, (owner, words) in enumerate(OWNERS.items()):
        random = Random(seed)
        (folder / owner).mkdir()
        rows = [
            {
                "id": f"{owner}:{i}",
                "text": "The " + " and the ".join(random.choices(words.split(), k=14)),
                "licence": "CC0-1.0",
                "split": "heldout" if i % 4 == 0 else "train",
            }
            for i in range(24)
        ]
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / owner / "notes.jsonl").write_text(lines, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def trained(
    anchor: Path, texts: Path, settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Trained]:
    """The expert of each of OWNERS, trained long enough that router and deltas matter. To be read, not changed."""
    folder = tmp_path_factory.mktemp("training")
    return {
        owner: train(
            owner,
            anchor=anchor,
            texts=texts / owner,
            public=texts / "public",
            resume=folder / f"{owner}.training",
            settings=replace(settings, steps=20),
        )
        for owner in OWNERS
    }


@pytest.fixture(scope="session")
def experts(trained: dict[str, Trained], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The files of the two owners' experts."""
    folder = tmp_path_factory.mktemp("experts")
    return {owner: export(trained[owner], folder / f"{owner}.safetensors") for owner in ("harbour", "bakery")}


def make_anchor(folder: Path, seed: int, family: str = "llama", dtype: torch.dtype = torch.bfloat16) -> Path:
    """Grouped-query attention, where possible a head size that is not hidden / heads, tied embeddings: traps."""
    torch.manual_seed(seed)
    model: Any = AutoModelForCausalLM.from_config(_config(family))  # type: ignore[no-untyped-call]
    for module in model.modules():
        if type(module).__name__.endswith("TopKRouter"):
            # Experts that are chosen for reasons, so that a wrong choice shows.
            torch.nn.init.normal_(module.weight, std=0.5)
    model.to(dtype).save_pretrained(folder)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"<|endoftext|>": 0} | {letter: i for i, letter in enumerate(alphabet, start=1)}
    bytes_only = Tokenizer(models.BPE(vocabulary, []))
    bytes_only.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_only.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=bytes_only, eos_token="<|endoftext|>"
    )
    tokenizer.chat_template = "{{ messages[0].content }}"
    tokenizer.save_pretrained(folder)
    return folder


def _config(family: str) -> PreTrainedConfig:
    sizes: dict[str, Any] = {
        "vocab_size": 257,
        "hidden_size": 48,
        "intermediate_size": 96,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 128,
        "rms_norm_eps": 3e-5,
        "rope_parameters": {"rope_type": "default", "rope_theta": 12345.0},
        "tie_word_embeddings": True,
        "initializer_range": 0.2,
        "pad_token_id": None,
        "bos_token_id": None,
        "eos_token_id": 0,
    }
    if family == "llama":
        return LlamaConfig(**sizes, head_dim=16)
    if family == "olmo2":
        return Olmo2Config(**sizes)
    if family == "mixtral":
        return MixtralConfig(**sizes, num_local_experts=3, num_experts_per_tok=2)
    if family == "olmoe":
        return OlmoeConfig(**sizes, num_experts=4, num_experts_per_tok=2)
    return FlexOlmoConfig(**sizes, num_experts=3, num_experts_per_tok=2)
