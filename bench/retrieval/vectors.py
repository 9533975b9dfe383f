"""Vectors of real text, made once and kept in CANDOR_HOME/bench: MiniLM's of passages, wordllama's of a million
windows."""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.texts import passages, windows
from services.retrieval.datastore.catalogue import open_datastores
from services.retrieval.datastore.segment import VECTORS
from services.retrieval.encoders import base
from shared.settings import candor_home

Floats = NDArray[np.float32]
Vectors = NDArray[np.float16]

_AT_ONCE = 128
MILLION = 1_000_000
WINDOW, STRIDE = 60, 19
_TEXTS = 10_000


def embedded(home: Path, card: base.Card, count: int) -> tuple[list[str], Vectors]:
    """At most `count` passages of 256 words with their vectors: those of the datastore `main`, which its build
    embedded, then those that `embed` has embedded of the texts of `bench.texts`."""
    texts: list[str] = []
    parts: list[Vectors] = []
    for text, vectors in _of_datastore(home, card):
        texts += text
        parts.append(vectors)
    there = set(texts)
    more = [text for text in passages(home) if text not in there] if count > len(texts) else []
    for path in sorted(_folder(home, card).glob("*.npy")) if more else []:
        part = np.load(path)
        start = int(path.stem)
        texts += more[start : start + len(part)]
        parts.append(part)
    return texts[:count], np.concatenate(parts)[:count]


def public(home: Path, card: base.Card) -> int:
    """How many of the first passages are of owners who are public, on whose vectors a codebook may be trained: theirs
    come first if they do in the alphabet, and else it is trained on fewer."""
    count = 0
    for store in open_datastores(home / "retrieval", card):
        for part in store.segments if store.id == "main" else []:
            if not part.manifest.public:
                break
            count += len(part.passages)
    return count


def embed(home: Path, encoder: base.Encoder, count: int) -> None:
    """Embed passages until there are `count`; what was embedded before is not embedded again."""
    there = {text for texts, _ in _of_datastore(home, encoder.card) for text in texts}
    more = [text for text in passages(home) if text not in there]
    folder = _folder(home, encoder.card)
    folder.mkdir(parents=True, exist_ok=True)
    for start in range(0, max(count - len(there), 0), _AT_ONCE):
        path = folder / f"{start:07}.npy"
        if not path.exists():
            draft = path.with_suffix(".part")
            with draft.open("wb") as file:
                np.save(file, encoder.encode(more[start : start + _AT_ONCE]).astype(np.float16))
            draft.rename(path)
            print(f"{len(there) + start + _AT_ONCE} of {count} passages embedded", flush=True)


def wordllama(texts: list[str]) -> Floats:
    """(n, 256) vectors of length 1 from the static embeddings that the package `wordllama` carries."""
    vectors: Floats = _wordllama().embed(texts, norm=True).astype(np.float32)
    return vectors


def million_texts(home: Path) -> list[str]:
    """A million different windows of 60 words, or all there are, shuffled so that the first n are a sample."""
    texts = list(dict.fromkeys(windows(home, WINDOW, STRIDE)))
    random.Random(0).shuffle(texts)
    return texts[:MILLION]


def million(home: Path) -> tuple[Path, int]:
    """A file of the vectors of `million_texts`, and the bytes of the texts. Made the first time, which takes some
    minutes."""
    path = home / "bench" / f"wordllama-{WINDOW}-{STRIDE}.npy"
    size = path.with_suffix(".bytes")
    if not (path.exists() and size.exists()):
        texts = million_texts(home)
        vectors = np.concatenate(
            [wordllama(texts[start : start + _TEXTS]).astype(np.float16) for start in range(0, len(texts), _TEXTS)]
        )
        with path.with_suffix(".part").open("wb") as file:
            np.save(file, vectors)
        path.with_suffix(".part").rename(path)
        size.write_text(str(sum(len(text.encode()) for text in texts)))
    return path, int(size.read_text())


@cache
def _wordllama() -> Any:
    import wordllama as package  # noqa: PLC0415 (an extra)

    # it looks for its own tokenizer in its cache only, so its folder is given as that
    return package.WordLlama.load(cache_dir=Path(package.__file__).parent, disable_download=True)


def _of_datastore(home: Path, card: base.Card) -> Iterator[tuple[list[str], NDArray[np.float16]]]:
    for store in open_datastores(home / "retrieval", card):
        for part in store.segments if store.id == "main" else []:
            folder = home / "retrieval" / store.id / part.manifest.owner / part.manifest.id
            yield [part.passages.text(row) for row in range(len(part.passages))], np.load(folder / VECTORS)


def _folder(home: Path, card: base.Card) -> Path:
    return home / "bench" / "vectors" / card.revision


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.retrieval.vectors", description=__doc__)
    parser.add_argument("--passages", type=int, default=20_480, help="how many to embed in all")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    embed(
        candor_home(),
        base.load(base.describe(base.DEFAULT, candor_home()), threads=arguments.threads),
        arguments.passages,
    )
