"""From queries to passages: the indexes over a set of segments, and the scores of every stage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from services.retrieval.bm25 import search as bm25
from services.retrieval.compactds import search as compactds
from services.retrieval.datastore.passages import Passage
from services.retrieval.datastore.segment import Segment
from services.retrieval.encoders.base import Encoder
from services.retrieval.fusion import reciprocal_ranks
from services.retrieval.leann import search as leann
from services.retrieval.leann.kept import Places, vectors
from services.retrieval.leann.recompute import Aim
from services.retrieval.ranking import Ranking

Stage = Literal["ann", "exact", "bm25", "fused"]


@dataclass(frozen=True)
class Options:
    """`k` passages a query; `candidates`, at least k, from each index before its last stage; `nprobe` lists read of
    an inverted file (None: the index's own default). LEANN embeds at most `recompute` passages again, at least k, and
    fewer once it expects a share of `recall` of the k best among them."""

    index: Literal["compactds", "leann", "bm25", "hybrid"]
    k: int
    candidates: int
    nprobe: int | None = None
    recompute: int = 50
    recall: float = 0.95


@dataclass(frozen=True)
class Found:
    """A passage with the score of each stage that saw it."""

    owner: str
    passage: Passage
    scores: dict[Stage, float]


@dataclass
class Effort:
    """What a search took: milliseconds by stage, and by query the passages that LEANN scored by their text,
    which it embedded for this query or had kept from a recent one."""

    spent: dict[str, float] = field(default_factory=dict)
    recomputed: list[int] | None = None

    @contextmanager
    def of(self, stage: str) -> Iterator[None]:
        """Count the time of the block to a stage."""
        started = perf_counter()
        yield
        self.spent[stage] = self.spent.get(stage, 0.0) + (perf_counter() - started) * 1000


def search(
    segments: Sequence[Segment], encoder: Encoder, queries: Sequence[str], options: Options, effort: Effort
) -> list[list[Found]]:
    """At most k passages of the segments for each query, best first: what the segments alone would give.

    LEANN searches the segments that have codes. CompactDS and the hybrid need segments that all have vectors.
    """
    if options.index == "leann":
        segments = [segment for segment in segments if segment.codes]
        effort.recomputed = [0] * len(queries)
    if not segments:
        return [[] for _ in queries]
    rankings: dict[Stage, list[Ranking]] = {}
    if options.index in ("compactds", "hybrid"):
        rankings |= _dense(segments, encoder, queries, options, effort)
    if options.index == "leann":
        rankings |= _recomputed(segments, encoder, queries, options, effort)
    if options.index in ("bm25", "hybrid"):
        with effort.of("bm25"):
            rankings["bm25"] = bm25.search([segment.postings for segment in segments], queries, options.candidates)
    if options.index == "hybrid":
        pairs = zip(rankings["exact"], rankings["bm25"], strict=True)
        rankings["fused"] = [reciprocal_ranks(pair, options.k) for pair in pairs]
    last: dict[str, Stage] = {"compactds": "exact", "leann": "exact", "bm25": "bm25", "hybrid": "fused"}
    with effort.of("fetch"):
        return [
            _fetch(
                segments, {stage: ranking[query] for stage, ranking in rankings.items()}, last[options.index], options.k
            )
            for query in range(len(queries))
        ]


def _dense(
    segments: Sequence[Segment], encoder: Encoder, queries: Sequence[str], options: Options, effort: Effort
) -> dict[Stage, list[Ranking]]:
    stored = [segment.vectors for segment in segments if segment.vectors]
    with effort.of("encode"):
        encoded = encoder.encode(queries)
    with effort.of("ann"):
        found = compactds.candidates(stored, encoded, options.candidates, options.nprobe)
    with effort.of("exact"):
        exact = [compactds.exact(stored, query, ranking) for query, ranking in zip(encoded, found, strict=True)]
    return {"ann": found, "exact": exact}


def _recomputed(
    segments: Sequence[Segment], encoder: Encoder, queries: Sequence[str], options: Options, effort: Effort
) -> dict[Stage, list[Ranking]]:
    codes = [segment.codes for segment in segments if segment.codes]

    def embed(some: Ranking) -> NDArray[np.float32]:
        return vectors([each.kept for each in codes], some.places(), from_texts)

    def from_texts(places: Places) -> NDArray[np.float32]:
        return encoder.encode_alone([segments[number].passages.text(row) for number, row in places])

    with effort.of("encode"):
        encoded = encoder.encode(queries)
    with effort.of("ann"):
        found, deviations = leann.candidates(codes, encoded, max(options.recompute, options.k))
    with effort.of("exact"):
        exact = [
            leann.exact(ranking, deviations[number], encoded[number], Aim(options.k, options.recall), embed)
            for number, ranking in enumerate(found)
        ]
    effort.recomputed = [len(ranking) for ranking in exact]
    return {"ann": found, "exact": exact}


def _fetch(segments: Sequence[Segment], rankings: dict[Stage, Ranking], last: Stage, k: int) -> list[Found]:
    """Read the best of the last stage, and look up what the other stages gave them."""
    scores = {
        stage: dict(zip(ranking.places(), ranking.scores.tolist(), strict=True)) for stage, ranking in rankings.items()
    }
    return [
        Found(
            segments[number].manifest.owner,
            segments[number].passages.passage(row),
            {stage: known[number, row] for stage, known in scores.items() if (number, row) in known},
        )
        for number, row in rankings[last].places()[:k]
    ]
