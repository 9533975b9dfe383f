"""The vectors of a segment: of one encoder for every stage of a search, or of a second one for the exact stage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from services.retrieval.compactds.ann import FLAT_BELOW
from services.retrieval.datastore.embed import Embedder, Known, Progress, known
from services.retrieval.datastore.manifest import EncoderStamp
from services.retrieval.datastore.segment import EXACT, write_vectors
from services.retrieval.encoders.base import Encoder

Second = Callable[[EncoderStamp], Encoder]
"""Gives a datastore's second encoder, loaded."""


def no_second(stamp: EncoderStamp) -> Encoder:
    """For datastores of one encoder."""
    raise LookupError(f"Exact scores by {stamp.name} are wanted, and no second encoder can be loaded here.")


def _unheard(_stage: str) -> Progress:
    return lambda _: None


@dataclass(frozen=True)
class Embedders:
    """The encoder of a datastore, and the second one of its exact stage, if it has one."""

    first: Embedder
    second: Embedder | None = None

    @property
    def exact(self) -> EncoderStamp | None:
        """Whose the vectors of the exact stage are, if not the first encoder's."""
        return self.second.stamp if self.second else None

    def write(
        self,
        folder: Path,
        texts: Sequence[str],
        before: Sequence[Path],
        work: Path,
        *,
        flat_below: int = FLAT_BELOW,
        progress: Callable[[str], Progress] = _unheard,
    ) -> None:
        """Write the vectors of the passages' texts into a segment's folder.

        What the whole segments `before` have of the same encoders is not made again; `work` keeps the shards of a
        build that is killed. `progress` gives for what is done ("embedded") whoever is told how much of it is.
        """
        made = self.first.vectors(texts, _of(before, self.first.stamp), work, progress("embedded"))
        write_vectors(folder, made, flat_below)
        if self.second:
            told = progress(f"embedded by {self.second.stamp.name}")
            # a folder of its own: a stage removes the shards of another key
            made = self.second.vectors(texts, _of(before, self.second.stamp), work / "exact", told)
            np.save(folder / EXACT, made)


def _of(segments: Sequence[Path], encoder: EncoderStamp) -> Known:
    return {digest: vector for segment in segments for digest, vector in known(segment, encoder).items()}
