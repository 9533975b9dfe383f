"""Corpora of CPython's own manual under a small tokenizer."""

from collections.abc import Callable
from pathlib import Path

import pytest

from services.tracing.index.build import build_corpus
from services.tracing.index.opening import open_corpora
from services.tracing.index.segment import Segment
from services.tracing.tokenizer import Tokenizer
from tests.tracing_support import manual, owner, train_tokenizer, write_texts

Build = Callable[[dict[str, list[str]]], list[Segment]]


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """Like SmolLM2's, it lacks some bytes."""
    path: Path = tmp_path_factory.mktemp("bpe") / "tokenizer.json"
    train_tokenizer(path)
    return Tokenizer(path)


@pytest.fixture(scope="session")
def paragraphs() -> list[str]:
    """Paragraphs of CPython's manual."""
    return manual()


@pytest.fixture(scope="session")
def build(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Builds corpora of {owner: texts} in a folder of their own and opens all their segments, by owner."""
    return builder(tokenizer, tmp_path_factory)


def builder(tokenizer: Tokenizer, folders: pytest.TempPathFactory) -> Build:
    """Builds with this tokenizer."""

    def build(texts: dict[str, list[str]]) -> list[Segment]:
        home = folders.mktemp("corpora")
        for identity, documents in texts.items():
            file = write_texts(home / "texts" / f"{identity}.jsonl", identity, documents)
            build_corpus(home / "tracing" / identity, owner(identity), [file], tokenizer, lambda _: None)
        corpora, warnings = open_corpora(home / "tracing", tokenizer)
        assert not warnings
        return [segment for corpus in corpora for segment in corpus.segments]

    return build
