"""What the retrieval service does, between its routes and its engines."""

from __future__ import annotations

import base64
from collections.abc import Collection, Sequence
from typing import Any

from services.retrieval import filters
from services.retrieval.bounds import check_answer, check_tokens, check_work
from services.retrieval.datastore.catalogue import Catalogue
from services.retrieval.datastore.manifest import EncoderStamp
from services.retrieval.datastore.opened import Datastore
from services.retrieval.datastore.segment import Segment
from services.retrieval.datastore.vectors import Second, no_second
from services.retrieval.encoders import published
from services.retrieval.encoders.base import Encoder
from services.retrieval.errors import (
    BadFilter,
    EmptyQuery,
    IndexNotBuilt,
    InputTooLong,
    UnknownDocument,
    UnknownEncoder,
    UnknownOwner,
    WrongDimensions,
)
from services.retrieval.filters import Filter, parse
from services.retrieval.named import named
from services.retrieval.rerank import judgeable, rerank
from services.retrieval.search import Effort, Found, Options, search
from shared.contracts import rerank as reranking
from shared.contracts import retrieval as wire
from shared.contracts.massive_serve import MassiveSearchRequest, MassiveSearchResponse


class Retrieval:
    """Searches the datastores for the owners of each request. Every method blocks: call it in a thread."""

    def __init__(
        self,
        encoder: Encoder,
        catalogue: Catalogue,
        registered: Collection[str],
        second: Second = no_second,
    ) -> None:
        """`registered` are the owners there are, whether or not they have any data here; `second` gives the encoder of
        a datastore's exact stage, where it is not the first."""
        self._encoder = encoder
        self._second = second
        self._catalogue = catalogue
        self._registered = frozenset(registered)

    def search(self, request: wire.SearchRequest) -> wire.SearchResponse:
        """The best passages of the request's owners."""
        datastore, owners, segments = self._chosen(request)
        queries = request.texts()
        options = Options(
            request.index,
            request.k,
            max(request.candidates, request.k),
            request.nprobe,
            request.recompute,
            request.recall,
            _filter(request.filter),
            request.diversity,
            request.min_score,
        )
        exact = self._second(datastore.layout.exact) if datastore.layout.exact else None
        effort = Effort()
        with effort.of("total"):
            found = search(segments, self._encoder, queries, options, effort, exact=exact)
        return wire.SearchResponse(
            datastore=datastore.id,
            index=request.index,
            owners=[owner for owner in datastore.owners if owner in owners],
            results=[[_passage(passage) for passage in passages] for passages in found],
            timings=wire.SearchTimings(**effort.spent),
            recomputed=effort.recomputed,
            warnings=[
                *self._cut(request, queries, exact),
                *_absent(datastore, owners),
                *(_without_codes(segments) if request.index == "leann" else []),
            ],
        )

    def owners(self, request: wire.SearchRequest) -> list[str]:
        """The owners that a search is for. Raises what `search` does for a request that it refuses."""
        return self._chosen(request)[1]

    def massive_search(self, request: MassiveSearchRequest) -> MassiveSearchResponse:
        """As massive-serve has it: of the public owners, and of those that the request names; other names say nothing
        of owners."""
        datastore = named(self._catalogue, "main")
        asked = [name for name in request.named() if name in self._known(datastore)]
        found = self.search(request.search(list(dict.fromkeys([*datastore.public, *asked]))))
        return MassiveSearchResponse.of(request, found)

    def datastores(self) -> wire.DatastoreList:
        """What can be searched."""
        return wire.DatastoreList(data=[self._describe(datastore) for datastore in self._catalogue.all()])

    def document(self, datastore: str, identity: str, owners: Sequence[str] | None) -> wire.Document:
        """A whole document, if it is of one of these owners."""
        holder = named(self._catalogue, datastore)
        permitted = self._permitted(holder, owners)
        found = holder.document(identity, permitted)
        if found is None:
            raise UnknownDocument(identity, datastore, permitted)
        segment, document = found
        return wire.Document(
            id=document.id,
            owner=segment.manifest.owner,
            source=document.source,
            title=document.title,
            licence=document.licence,
            url=document.url,
            text=document.text,
            metadata=document.metadata,
        )

    def embed(self, request: wire.EmbeddingRequest) -> wire.EmbeddingList:
        """Vectors of texts."""
        card = self._encoder.card
        if request.model != card.name:
            raise UnknownEncoder(request.model, card.name)
        if request.dimensions not in (None, card.dimension):
            raise WrongDimensions(request.dimensions or 0, card.dimension)
        texts = [request.input] if isinstance(request.input, str) else request.input
        counts = self._encoder.count(texts)
        for number, count in enumerate(counts):
            if count > card.max_tokens:
                field = "input" if isinstance(request.input, str) else f"input.{number}"
                raise InputTooLong(field, count, card.max_tokens)
        check_tokens("input", counts)
        vectors = self._encoder.encode(texts).astype("<f4")
        as_text = request.encoding_format == "base64"
        return wire.EmbeddingList(
            model=card.name,
            data=[
                wire.Embedding(
                    index=number, embedding=base64.b64encode(vector.tobytes()).decode() if as_text else vector.tolist()
                )
                for number, vector in enumerate(vectors)
            ],
            usage=wire.EmbeddingUsage(prompt_tokens=sum(counts), total_tokens=sum(counts)),
        )

    def rerank(self, request: reranking.RerankRequest) -> reranking.RerankResponse:
        """The request's documents, the most relevant first."""
        return rerank(request, self._encoder)

    def judgeable(self, request: reranking.RerankRequest) -> int:
        """Tokens of a request that the language model is to judge."""
        return judgeable(request, self._encoder)

    def _chosen(self, request: wire.SearchRequest) -> tuple[Datastore, list[str], list[Segment]]:
        """What is searched, and for whom. Raises for a request that is not to be searched for."""
        for number, query in enumerate(request.texts()):
            if not query.strip():
                raise EmptyQuery("query" if request.query is not None else f"queries.{number}")
        check_answer(request)
        datastore = named(self._catalogue, request.datastore)
        owners = self._permitted(datastore, request.owners)
        segments = datastore.of(owners)
        stored = all(segment.vectors for segment in segments)
        built = datastore.codebook is not None if request.index == "leann" else stored or request.index == "bm25"
        if not built:
            raise IndexNotBuilt(request.index, datastore.id)
        check_work(request, stored=stored)
        return datastore, owners, segments

    def _known(self, datastore: Datastore) -> frozenset[str]:
        return self._registered.union(datastore.owners)

    def _permitted(self, datastore: Datastore, owners: Sequence[str] | None) -> list[str]:
        """The effective owners, which the gateway sends with every call; without any, the public ones alone."""
        if owners is None:
            return datastore.public
        known = self._known(datastore)
        for owner in owners:
            if owner not in known:
                raise UnknownOwner(owner, known)
        return list(dict.fromkeys(owners))

    def _cut(self, request: wire.SearchRequest, queries: Sequence[str], exact: Encoder | None) -> list[str]:
        """Warnings on queries that an encoder did not read to the end."""
        if request.index == "bm25":
            return []
        encoders = [(self._encoder, "")]
        if exact and request.index != "leann":
            encoders.append((exact, " for its exact scores"))
        return [
            f"query {number} has {count} tokens; the encoder read the first {encoder.card.max_tokens}{what}"
            for encoder, what in encoders
            for number, count in enumerate(encoder.count(queries))
            if count > encoder.card.max_tokens
        ]

    def _describe(self, datastore: Datastore) -> wire.Datastore:
        stored = all(segment.vectors for segment in datastore.segments)
        return wire.Datastore(
            id=datastore.id,
            owners=datastore.owners,
            documents=sum(segment.documents for segment in datastore.segments),
            passages=sum(segment.size for segment in datastore.segments),
            encoder=self._encoder.card.name,
            encoders=_encoders(EncoderStamp.of(self._encoder.card), datastore.layout.exact),
            indexes=[
                *(["compactds"] if stored else []),
                *(["leann"] if datastore.codebook else []),
                "bm25",
                *(["hybrid"] if stored else []),
            ],
            segments=[
                wire.SegmentInfo(
                    id=segment.manifest.id,
                    owner=segment.manifest.owner,
                    public=segment.manifest.public,
                    licence=segment.manifest.licence,
                    documents=segment.documents,
                    passages=segment.size,
                    encoder=segment.manifest.encoder.name,
                    exact=segment.manifest.exact.name if segment.manifest.exact else None,
                    dimension=segment.manifest.encoder.dimension,
                    bytes=segment.bytes,
                    hidden=segment.manifest.passages - segment.size,
                    drift=_drift(segment, datastore),
                )
                for segment in datastore.segments
            ],
            warnings=[wire.DatastoreWarning(owner=notice.owner, message=notice.text) for notice in datastore.notices],
        )


def _filter(wanted: dict[str, Any] | None) -> Filter | None:
    if wanted is None:
        return None
    try:
        return parse(wanted)
    except filters.BadFilter as error:
        raise BadFilter(error.place, str(error)) from error


def _passage(found: Found) -> wire.Passage:
    return wire.Passage(owner=found.owner, scores=wire.PassageScores(**found.scores), **vars(found.passage))


def _encoders(first: EncoderStamp, exact: EncoderStamp | None) -> wire.StageEncoders:
    ann, last = (
        wire.EncoderInfo(**stamp.model_dump(), licence=published.licence(stamp.name))
        for stamp in (first, exact or first)
    )
    return wire.StageEncoders(ann=ann, exact=last)


def _drift(segment: Segment, datastore: Datastore) -> float | None:
    public = [other for other in datastore.segments if other.codes and other.manifest.public]
    passages = sum(other.manifest.passages for other in public)
    if segment.codes is None or not passages:
        return None
    usual = sum(other.codes.error * other.manifest.passages for other in public if other.codes) / passages
    return segment.codes.error / usual if usual else None


def _absent(datastore: Datastore, owners: Sequence[str]) -> list[str]:
    missing = [owner for owner in owners if owner not in datastore.owners]
    return [f"datastore {datastore.id!r} has nothing of owner {owner!r}" for owner in missing]


def _without_codes(segments: Sequence[Segment]) -> list[str]:
    names = [f"{segment.manifest.owner}/{segment.manifest.id}" for segment in segments if segment.codes is None]
    return [f"segment {name} has no codes for LEANN and was not searched: run `candor data build`" for name in names]
