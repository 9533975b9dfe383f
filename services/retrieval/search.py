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
from services.retrieval.compactds.ann import Reach
from services.retrieval.datastore.passages import Passage
from services.retrieval.datastore.segment import Segment
from services.retrieval.diversity import maximal_marginal_relevance
from services.retrieval.encoders.base import Encoder
from services.retrieval.filters import Filter
from services.retrieval.fusion import mean_of_scaled
from services.retrieval.leann import search as leann
from services.retrieval.leann.kept import Places, vectors
from services.retrieval.leann.recompute import Aim
from services.retrieval.ranking import Ranking, Rows

Stage = Literal["ann", "exact", "bm25", "fused"]

LAST: dict[str, Stage] = {"compactds": "exact", "leann": "exact", "bm25": "bm25", "hybrid": "fused"}
"""The stage by which an index orders."""


@dataclass(frozen=True)
class Options:
    """`k` passages a query; `candidates`, at least k, from each index before its last stage; `nprobe` lists read of
    an inverted file (None: the index's own default). LEANN embeds at most `recompute` passages again, at least k, and
    fewer once it expects a share of `recall` of the k best among them.

    Only passages that pass the `filter`, and by the score that orders them have `min_score` or more. `diversity` is as
    in `maximal_marginal_relevance`; 0 is none."""

    index: Literal["compactds", "leann", "bm25", "hybrid"]
    k: int
    candidates: int
    nprobe: int | None = None
    recompute: int = 50
    recall: float = 0.95
    filter: Filter | None = None
    diversity: float = 0.0
    min_score: float | None = None


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


@dataclass(frozen=True)
class _Searched:
    """The segments of a search, with the passages of each that may be found."""

    segments: Sequence[Segment]
    allowed: list[Rows]

    @property
    def alive(self) -> list[Rows]:
        """The passages of each that are not hidden."""
        return [segment.alive for segment in self.segments]

    def vectors(self, places: Places, encoder: Encoder) -> NDArray[np.float32]:
        """(n, d) vectors of the passages at these places, by the encoder of the exact stage: as stored, or made again
        of their texts."""
        made = np.empty((len(places), encoder.card.dimension), np.float32)
        unstored = []
        for number, (segment, row) in enumerate(places):
            stored = self.segments[segment].vectors
            if stored:
                made[number] = stored.exact[row]
            else:
                unstored.append(number)
        if unstored:
            made[unstored] = self.recomputed([places[number] for number in unstored], encoder)
        return made

    def recomputed(self, places: Places, encoder: Encoder) -> NDArray[np.float32]:
        """(n, d) vectors of the texts at these places, or those that were kept of them."""

        def from_texts(missing: Places) -> NDArray[np.float32]:
            return encoder.encode_alone([self.segments[number].passages.text(row) for number, row in missing])

        return vectors([segment.recent for segment in self.segments], places, from_texts)


def search(
    segments: Sequence[Segment],
    encoder: Encoder,
    queries: Sequence[str],
    options: Options,
    effort: Effort,
    *,
    exact: Encoder | None = None,
) -> list[list[Found]]:
    """At most k passages of the segments for each query, best first: what the segments alone would give.

    LEANN searches the segments that have codes. CompactDS and the hybrid need segments that all have vectors; `exact`
    is the second encoder of their exact stage, for which the segments were opened, if there is one. LEANN's scores are
    the first's.
    """
    if options.index == "leann":
        segments = [segment for segment in segments if segment.codes]
        effort.recomputed = [0] * len(queries)
    if not segments:
        return [[] for _ in queries]
    with effort.of("filter"):
        searched = _Searched(segments, [_allowed(segment, options.filter) for segment in segments])
    rankings: dict[Stage, list[Ranking]] = {}
    if options.index in ("compactds", "hybrid"):
        rankings |= _dense(searched, encoder, queries, options, effort, exact=exact)
    if options.index == "leann":
        rankings |= _recomputed(searched, encoder, queries, options, effort)
    if options.index in ("bm25", "hybrid"):
        with effort.of("bm25"):
            postings = [segment.postings for segment in segments]
            rankings["bm25"] = bm25.search(postings, queries, options.candidates, searched.alive, searched.allowed)
    if options.index == "hybrid":
        pairs = zip(rankings["exact"], rankings["bm25"], strict=True)
        rankings["fused"] = [mean_of_scaled(pair, options.candidates, options.candidates) for pair in pairs]
    last = rankings[LAST[options.index]]
    chosen = [_chosen(ranking, searched, exact or encoder, options, effort) for ranking in last]
    with effort.of("fetch"):
        return [
            _fetch(segments, {stage: ranking[query] for stage, ranking in rankings.items()}, chosen[query])
            for query in range(len(queries))
        ]


def _allowed(segment: Segment, wanted: Filter | None) -> Rows:
    """The passages of a segment that are there and pass the filter."""
    if wanted is None:
        return segment.alive
    passing = segment.passing(wanted)
    return passing if segment.alive is None else passing & segment.alive


def _dense(
    searched: _Searched,
    encoder: Encoder,
    queries: Sequence[str],
    options: Options,
    effort: Effort,
    *,
    exact: Encoder | None,
) -> dict[Stage, list[Ranking]]:
    stored = [segment.vectors for segment in searched.segments if segment.vectors]
    with effort.of("encode"):
        first = encoder.encode_queries(queries)
        encoded = compactds.Queries(first, exact.encode_queries(queries) if exact else first)
    with effort.of("ann"):
        if options.filter and compactds.few(stored, searched.allowed):
            found = compactds.scan(stored, encoded, options.candidates, searched.allowed)
        else:
            found = compactds.candidates(stored, first, Reach(options.candidates, options.nprobe), searched.allowed)
    with effort.of("exact"):
        scored = [compactds.exact(stored, query, ranking) for query, ranking in zip(encoded.exact, found, strict=True)]
        best = [ranking.part(0, options.candidates) for ranking in scored]
    return {"ann": found, "exact": best}


def _recomputed(
    searched: _Searched, encoder: Encoder, queries: Sequence[str], options: Options, effort: Effort
) -> dict[Stage, list[Ranking]]:
    codes = [segment.codes for segment in searched.segments if segment.codes]

    def embed(some: Ranking) -> NDArray[np.float32]:
        return searched.recomputed(some.places(), encoder)

    with effort.of("encode"):
        encoded = encoder.encode_queries(queries)
    with effort.of("ann"):
        count = max(options.recompute, options.k)
        owners = [segment.manifest.owner for segment in searched.segments]
        found, deviations = leann.candidates(
            codes, encoded, count, alive=searched.alive, allowed=searched.allowed, owners=owners
        )
    with effort.of("exact"):
        exact = [
            leann.exact(ranking, deviations[number], encoded[number], Aim(options.k, options.recall), embed)
            for number, ranking in enumerate(found)
        ]
    effort.recomputed = [len(ranking) for ranking in exact]
    return {"ann": found, "exact": exact}


def _chosen(
    ranking: Ranking, searched: _Searched, encoder: Encoder, options: Options, effort: Effort
) -> list[tuple[int, int]]:
    """The places of the k passages of the last stage's ranking that are given, in order."""
    if options.min_score is not None:
        ranking = ranking.part(0, int((ranking.scores >= options.min_score).sum()))
    if not options.diversity:
        return ranking.places()[: options.k]
    with effort.of("diversity"):
        made = searched.vectors(ranking.places(), encoder)
        return maximal_marginal_relevance(ranking, made, options.diversity, options.k)


def _fetch(
    segments: Sequence[Segment], rankings: dict[Stage, Ranking], places: Sequence[tuple[int, int]]
) -> list[Found]:
    """Read the passages at these places, and look up what each stage gave them."""
    scores = {
        stage: dict(zip(ranking.places(), ranking.scores.tolist(), strict=True)) for stage, ranking in rankings.items()
    }
    return [
        Found(
            segments[number].manifest.owner,
            segments[number].passages.passage(row),
            {stage: known[number, row] for stage, known in scores.items() if (number, row) in known},
        )
        for number, row in places
    ]
