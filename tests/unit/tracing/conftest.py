"""A small byte-level BPE of SmolLM2's kind, trained here, and corpora of CPython's own manual."""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from pydoc_data.topics import topics

import pytest
from tokenizers import Tokenizer as Encoder
from tokenizers import decoders, models, pre_tokenizers, trainers

from services.tracing.index.build import build_corpus
from services.tracing.index.corpus import open_corpora
from services.tracing.index.segment import Segment
from services.tracing.tokenizer import Tokenizer
from shared.owners import Owner

Build = Callable[[dict[str, list[str]]], list[Segment]]


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """Like SmolLM2's, it lacks the bytes that its training text lacks."""
    encoder = Encoder(models.BPE())
    encoder.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    encoder.decoder = decoders.ByteLevel()
    # every continuation byte, some accents and emoji, but no control character and no plane past the first two
    others = "".join(chr(0x4E00 + n) for n in range(256)) + "".join(chr(0x1F300 + n) for n in range(256)) + "àéîöûñ"
    trainer = trainers.BpeTrainer(vocab_size=1200, special_tokens=["<|end|>"], show_progress=False)
    encoder.train_from_iterator([*topics.values(), others], trainer)
    path = tmp_path_factory.mktemp("bpe") / "tokenizer.json"
    encoder.save(str(path))
    return Tokenizer(path)


@pytest.fixture(scope="session")
def paragraphs() -> list[str]:
    """Paragraphs of CPython's manual, in ASCII: the brute force knows no other words."""
    text = "\n\n".join(topics[name] for name in sorted(topics)[:24])
    return [paragraph for paragraph in re.split(r"\n\n+", text) if len(paragraph) > 60 and paragraph.isascii()][:200]


def owner(identity: str, *, public: bool = False) -> Owner:
    """An owner of these tests."""
    return Owner(id=identity, name=identity, licence="PSF-2.0", contact="nobody", public=public)


def write_texts(path: Path, identity: str, texts: Sequence[str], source: str = "manual") -> Path:
    """A text file of an owner: document n has the id `source:owner-n`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        {
            "id": f"{source}:{identity}-{number}",
            "text": text,
            "title": f"Title {number}",
            "owner": identity,
            "source": source,
            "licence": "PSF-2.0",
            "url": None,
            "split": "train",
        }
        for number, text in enumerate(texts)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def build(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Builds corpora of {owner: texts} in a folder of their own and opens all their segments, by owner."""

    def build(texts: dict[str, list[str]]) -> list[Segment]:
        home = tmp_path_factory.mktemp("corpora")
        for identity, documents in texts.items():
            file = write_texts(home / "texts" / f"{identity}.jsonl", identity, documents)
            build_corpus(home / "tracing" / identity, owner(identity), [file], tokenizer, lambda _: None)
        corpora, warnings = open_corpora(home / "tracing", tokenizer)
        assert not warnings
        return [segment for corpus in corpora for segment in corpus.segments]

    return build
