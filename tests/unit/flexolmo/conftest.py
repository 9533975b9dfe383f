"""A tiny anchor (random Llama, byte-level tokenizer) and two owners' made-up documents, as the product reads them."""

import json
from pathlib import Path
from random import Random

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from services.model.flexolmo.train import Settings

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


def make_anchor(folder: Path, seed: int) -> Path:
    """Grouped-query attention, a head size that is not hidden / heads, and tied embeddings, as traps."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=257,
        hidden_size=48,
        intermediate_size=96,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        max_position_embeddings=128,
        rms_norm_eps=3e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 12345.0},
        tie_word_embeddings=True,
        initializer_range=0.2,
    )
    LlamaForCausalLM(config).bfloat16().save_pretrained(folder)
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
