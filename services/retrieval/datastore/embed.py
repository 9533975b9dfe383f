"""Making the vectors of a segment's passages, in shards that a killed build does not make again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from services.retrieval.datastore import manifest
from services.retrieval.datastore.manifest import EncoderStamp
from services.retrieval.datastore.passages import Passages
from services.retrieval.datastore.segment import EXACT, VECTORS
from services.retrieval.datastore.work import stage
from services.retrieval.encoders.base import Encoder
from shared.schedule import Advance, Here, Scheduler

PASSAGES = 2048
"""Passages in a shard."""

Known = dict[bytes, NDArray[np.float16]]
"""Vectors by the digest of their passage."""

Progress = Callable[[int], None]
"""Is told how many passages are done."""


def known(segment: Path, encoder: EncoderStamp) -> Known:
    """The vectors of a whole segment that are of this encoder, if they are stored, whatever stage they were for: a
    passage that was embedded before is not embedded again."""
    present = manifest.parse(segment)
    for name, made in ((VECTORS, present.encoder), (EXACT, present.exact)):
        if made == encoder and name in present.files:
            passages = Passages(segment)
            vectors: NDArray[np.float16] = np.load(segment / name, mmap_mode="r")
            return {_digest(passages.text(row)): vectors[row] for row in range(len(passages))}
    return {}


@dataclass(frozen=True)
class Part:
    """Texts that are embedded together, and the file that their vectors go to."""

    path: Path
    texts: list[str]


@dataclass(frozen=True)
class Embedder:
    """One encoder, which is loaded once there is something to embed, how many passages make a shard, and who embeds
    the shards."""

    encoder: Callable[[], Encoder]
    stamp: EncoderStamp
    size: int = PASSAGES
    scheduler: Scheduler = field(default_factory=Here)

    def vectors(self, texts: Sequence[str], before: Known, work: Path, progress: Progress) -> NDArray[np.float16]:
        """(n, d) vectors of the texts, in order; `before` are those that the same encoder made earlier.

        Raises ValueError if a vector is not finite.
        """
        digests = [_digest(text) for text in texts]
        key = hashlib.sha256(f"{self.size} {self.stamp.model_dump_json()}".encode())
        for digest in digests:
            key.update(digest + (b"known" if digest in before else b""))
        folder = stage(work, "embed", key.hexdigest())
        shards: list[tuple[Path, list[int]]] = []
        for number, start in enumerate(range(0, len(texts), self.size)):
            new = [row for row in range(start, min(start + self.size, len(texts))) if digests[row] not in before]
            if new:
                shards.append((folder / f"{number:05}.npy", new))
        todo = [Part(path, [texts[row] for row in new]) for path, new in shards if not path.exists()]
        done = len(texts) - sum(len(part.texts) for part in todo)

        def advance(count: int) -> None:
            nonlocal done
            done += count
            progress(done)

        advance(0)
        self.scheduler.run(partial(_Embedding, self.encoder), todo, advance)
        vectors = np.empty((len(texts), self.stamp.dimension), np.float16)
        for path, new in shards:
            vectors[new] = np.load(path)
        for row, digest in enumerate(digests):
            if digest in before:
                vectors[row] = before[digest]
        return vectors


class _Embedding:
    """The work on one part."""

    def __init__(self, load: Callable[[], Encoder]) -> None:
        self._encoder = load()

    def __call__(self, part: Part, advance: Advance) -> None:
        told = 0

        def progress(done: int) -> None:
            nonlocal told
            advance(done - told)
            told = done

        made = self._encoder.encode(part.texts, progress)
        if not np.isfinite(made).all():
            raise ValueError("the encoder gave a vector that is not finite")
        temporary = part.path.with_name(f".{part.path.name}")
        np.save(temporary, made.astype(np.float16))
        temporary.replace(part.path)
        progress(len(part.texts))


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
