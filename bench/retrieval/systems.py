"""What is compared: our two indexes and what a user would pick instead, over the same vectors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import faiss
import numpy as np
from numpy.typing import NDArray

from services.retrieval.compactds import ann
from services.retrieval.compactds import search as compactds
from services.retrieval.compactds.ann import Reach
from services.retrieval.datastore.manifest import EncoderStamp
from services.retrieval.leann.codebook import Codebook, Origin, read
from services.retrieval.leann.codes import Codes, scan
from services.retrieval.leann.quantiser import BYTES, train
from services.retrieval.leann.recompute import Aim
from services.retrieval.leann.search import candidates, exact
from services.retrieval.ranking import Ranking

Floats = NDArray[np.float32]
Vectors = NDArray[np.float16]

LIMIT, RECALL, CANDIDATES = 50, 0.95, 100
"""The defaults of /v1/search: `recompute`, `recall` and `candidates`."""

_AT_ONCE = 65_536


class Answer(NamedTuple):
    """Rows, best first, and how many passages had to be embedded again for them."""

    rows: list[int]
    recomputed: int


class System(ABC):
    """An index over (n, d) vectors of length 1, in a folder of its own."""

    what: ClassVar[str]
    """With which settings."""

    def __init__(self, folder: Path, vectors: Vectors) -> None:
        """`vectors` are a memory map: whoever needs them in memory copies them."""
        self.folder = folder
        self.vectors = vectors

    @abstractmethod
    def build(self, trained: int) -> None:
        """Write the index. What is to be trained may learn from the first `trained` vectors."""

    @abstractmethod
    def open(self) -> None:
        """Load what `build` wrote."""

    @abstractmethod
    def search(self, query: Floats, k: int) -> Answer:
        """The k nearest of a (d,) query."""


class Leann(System):
    """Ours. The vectors stand for the texts that the service would embed again."""

    what = "codes of 66 bytes, at most 50 embedded again"

    def __init__(self, folder: Path, vectors: Vectors) -> None:
        """Compile, which takes time and memory once and not for each index."""
        super().__init__(folder, vectors)
        scan(np.zeros((4, BYTES), np.uint8), np.zeros((BYTES, 256), np.float32))

    def build(self, trained: int) -> None:
        """The codebook, and the codes of all vectors."""
        codebook = Codebook(self._origin(), train([self.vectors[:trained]], self.vectors.shape[1]))
        codebook.write(self.folder)
        Codes.write(self.folder, codebook, self.vectors)

    def open(self) -> None:
        """As a segment does."""
        self.codes = Codes(self.folder, self.codebook())

    def codebook(self) -> Codebook:
        """That of the folder."""
        return read(self.folder, self._origin().encoder)

    def search(self, query: Floats, k: int) -> Answer:
        """As a search does."""
        found, deviations = candidates([self.codes], query[None], max(LIMIT, k))
        ranking = exact(found[0], deviations[0], query, Aim(k, RECALL), self._embed)
        return Answer(ranking.rows[:k].tolist(), len(ranking))

    def _embed(self, some: Ranking) -> Floats:
        vectors: Floats = self.vectors[some.rows].astype(np.float32)
        return vectors

    def _origin(self) -> Origin:
        stamp = EncoderStamp(name="bench", revision="1", dimension=self.vectors.shape[1])
        return Origin(encoder=stamp, segments=[], passages=0, inputs="")


class CompactDS(System):
    """Ours. Its folder has the vectors, since it reads those of its candidates."""

    what = f"IVF-PQ FastScan or flat, {CANDIDATES} candidates scored from 16-bit vectors on disk"

    def build(self, trained: int) -> None:  # noqa: ARG002 (it samples what it learns from)
        """The inverted file, and the vectors."""
        np.save(self.folder / "vectors.npy", self.vectors)
        ann.build(self.vectors, self.folder)

    def open(self) -> None:
        """As a segment does."""
        stored = np.load(self.folder / "vectors.npy", mmap_mode="r")
        self.parts = [compactds.Vectors(ann.load(stored, self.folder), stored, stored)]

    def search(self, query: Floats, k: int) -> Answer:
        """As a search does."""
        (found,) = compactds.candidates(self.parts, query[None], Reach(CANDIDATES))
        return Answer(compactds.exact(self.parts, query, found).rows[:k].tolist(), 0)


class _Faiss(System):
    def build(self, trained: int) -> None:
        index = self._empty()
        if not index.is_trained:
            index.train(self.vectors[: max(trained, 20_000)].astype(np.float32))
        for start in range(0, len(self.vectors), _AT_ONCE):
            index.add(self.vectors[start : start + _AT_ONCE].astype(np.float32))
        faiss.write_index(index, str(self.folder / "index.faiss"))

    def open(self) -> None:
        self.index = faiss.read_index(str(self.folder / "index.faiss"))

    def search(self, query: Floats, k: int) -> Answer:
        _, rows = self.index.search(query[None], k, params=self._parameters())
        return Answer([row for row in rows[0].tolist() if row >= 0], 0)

    @abstractmethod
    def _empty(self) -> Any: ...

    @abstractmethod
    def _parameters(self) -> Any: ...


class FaissHNSW(_Faiss):
    """For speed."""

    what = "FAISS HNSW flat, M 32, efConstruction 40, efSearch 64"

    def _empty(self) -> Any:
        return faiss.IndexHNSWFlat(self.vectors.shape[1], 32, faiss.METRIC_INNER_PRODUCT)

    def _parameters(self) -> Any:
        return faiss.SearchParametersHNSW(efSearch=64)  # type: ignore[attr-defined]


class FaissIVFPQ(_Faiss):
    """For memory."""

    what = "FAISS IVFPQ, 64 bytes, nprobe 64"

    def _empty(self) -> Any:
        dimension = self.vectors.shape[1]
        lists = 1 << int(np.log2(2 * np.sqrt(len(self.vectors))))
        self._quantizer = faiss.IndexFlatIP(dimension)
        return faiss.IndexIVFPQ(self._quantizer, dimension, lists, 64, 8, faiss.METRIC_INNER_PRODUCT)

    def _parameters(self) -> Any:
        return faiss.SearchParametersIVF(nprobe=64)  # type: ignore[call-arg]


class Usearch(System):
    """For ease."""

    what = "usearch at its defaults"

    def build(self, trained: int) -> None:  # noqa: ARG002 (it learns nothing)
        """One index."""
        index = self._empty()
        for start in range(0, len(self.vectors), _AT_ONCE):
            block = self.vectors[start : start + _AT_ONCE].astype(np.float32)
            index.add(np.arange(start, start + len(block)), block)
        index.save(str(self.folder / "index.usearch"))

    def open(self) -> None:
        """Into memory."""
        self.index = self._empty()
        self.index.load(str(self.folder / "index.usearch"))

    def search(self, query: Floats, k: int) -> Answer:
        """One query."""
        return Answer(self.index.search(query, k).keys.tolist(), 0)

    def _empty(self) -> Any:
        from usearch.index import Index  # noqa: PLC0415 (an extra)

        return Index(ndim=self.vectors.shape[1], metric="ip")


SYSTEMS: dict[str, type[System]] = {
    "leann": Leann,
    "compactds": CompactDS,
    "faiss_hnsw": FaissHNSW,
    "faiss_ivfpq": FaissIVFPQ,
    "usearch": Usearch,
}
