"""Making the vectors of a segment's passages, in shards that a killed build does not make again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from services.retrieval.datastore.manifest import EncoderStamp
from services.retrieval.datastore.passages import Passages
from services.retrieval.datastore.segment import VECTORS
from services.retrieval.datastore.work import stage
from services.retrieval.encoders.base import Encoder

PASSAGES = 2048
"""Passages in a shard."""

Known = dict[bytes, NDArray[np.float16]]
"""Vectors by the digest of their passage."""

Progress = Callable[[int], None]
"""Is told how many passages are done."""


def known(segment: Path) -> Known:
    """The vectors of a whole segment, if they are stored: a passage that was embedded before is not embedded again."""
    if not (segment / VECTORS).exists():
        return {}
    passages = Passages(segment)
    vectors: NDArray[np.float16] = np.load(segment / VECTORS, mmap_mode="r")
    return {_digest(passages.text(row)): vectors[row] for row in range(len(passages))}


@dataclass(frozen=True)
class Embedder:
    """One encoder, which is loaded once there is something to embed, and how many passages it is given at a time."""

    encoder: Callable[[], Encoder]
    stamp: EncoderStamp
    size: int = PASSAGES

    def vectors(self, texts: Sequence[str], before: Known, work: Path, progress: Progress) -> NDArray[np.float16]:
        """(n, d) vectors of the texts, in order; `before` are those that the same encoder made earlier.

        Raises ValueError if a vector is not finite.
        """
        key = hashlib.sha256(f"{self.size} {self.stamp.model_dump_json()}".encode())
        for text in texts:
            key.update(_digest(text))
        folder = stage(work, "embed", key.hexdigest())
        vectors = np.empty((len(texts), self.stamp.dimension), np.float16)
        for start in range(0, len(texts), self.size):
            end = min(start + self.size, len(texts))
            path = folder / f"{start // self.size:05}.npy"
            if not path.exists():
                temporary = path.with_name(f".{path.name}")
                np.save(temporary, self._shard(texts[start:end], before, _after(start, progress)))
                temporary.replace(path)
            vectors[start:end] = np.load(path)
            progress(end)
        return vectors

    def _shard(self, texts: Sequence[str], before: Known, progress: Progress) -> NDArray[np.float16]:
        part = np.empty((len(texts), self.stamp.dimension), np.float16)
        new = []
        for row, digest in enumerate(map(_digest, texts)):
            if digest in before:
                part[row] = before[digest]
            else:
                new.append(row)
        if new:
            made = self.encoder().encode([texts[row] for row in new], _after(len(texts) - len(new), progress))
            if not np.isfinite(made).all():
                raise ValueError("the encoder gave a vector that is not finite")
            part[new] = made.astype(np.float16)
        return part


def _after(count: int, progress: Progress) -> Progress:
    """Tells of passages that come after `count` others."""
    return lambda done: progress(count + done)


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
