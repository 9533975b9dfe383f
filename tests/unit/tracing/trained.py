"""Tokenizers of every kind, trained on CPython's manual."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from pydoc_data.topics import topics

from tokenizers import Tokenizer as Encoder
from tokenizers import models, normalizers, pre_tokenizers, trainers

from services.tracing.tokenizer import Tokenizer
from tests.tracing_support import train_tokenizer

SPACE = "\u2581"
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def llama(path: Path) -> None:
    """As Llama 2's: no pre-tokenizer, a space put first, a piece for each byte."""
    encoder = Encoder(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    encoder.normalizer = normalizers.Sequence([normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)])
    encoder.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    train(encoder, ["<unk>", "</s>", *BYTES])
    encoder.pre_tokenizer = None
    save(encoder, path)


def metaspace(path: Path) -> None:
    """The other way to write spaces, no pieces for bytes, and all but the manual's characters unknown."""
    encoder = Encoder(models.BPE(unk_token="<unk>"))
    encoder.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    train(encoder, ["<unk>", "</s>"])
    encoder.add_tokens(["<table>", "  \n"])
    save(encoder, path)


def crossing(path: Path) -> None:
    """With pieces of several words, so that no pre-token can be told; the pre-tokenizer, Gemma's, cuts nothing."""
    encoder = Encoder(models.BPE(byte_fallback=True))
    encoder.normalizer = normalizers.Replace(" ", SPACE)
    encoder.pre_tokenizer = pre_tokenizers.Split("\n", "isolated")
    train(encoder, BYTES)
    encoder.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    save(encoder, path)


def wide(path: Path) -> None:
    """Of so many pieces that an id takes 32 bits."""
    dice = random.Random(0)
    encoder = Encoder(models.BPE())
    encoder.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    words = (" ".join("".join(dice.choices("abcdefghijklmnop", k=9)) for _ in range(100)) for _ in range(400))
    trainer = trainers.BpeTrainer(vocab_size=70_000, initial_alphabet=sorted(alphabet), show_progress=False)
    encoder.train_from_iterator([*topics.values(), *words], trainer)
    save(encoder, path)


KINDS: dict[str, Callable[[Path], None] | None] = {
    "byte-level": train_tokenizer,
    "wide": wide,
    "llama": llama,
    "metaspace": metaspace,
    "crossing": crossing,
    "bytes": None,
}


def tokenizer_of(kind: str, folder: Path) -> Tokenizer:
    """A tokenizer of this kind; its file is `folder/KIND/tokenizer.json`."""
    make = KINDS[kind]
    if make is None:
        return Tokenizer()
    make(folder / kind / "tokenizer.json")
    return Tokenizer(folder / kind / "tokenizer.json")


def train(encoder: Encoder, special: list[str]) -> None:
    trainer = trainers.BpeTrainer(vocab_size=1500, special_tokens=special, show_progress=False)
    encoder.train_from_iterator(list(topics.values()), trainer)


def save(encoder: Encoder, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    encoder.save(str(path))
