"""The retrieval service: search, datastores, embeddings."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, StrictBool, StrictInt, model_validator

from shared.contracts.base import Milliseconds, OwnerId, Strict, Text


def _no_integer(value: object) -> object:
    """One that does not fit into 64 bits would become another number."""
    if isinstance(value, int):
        raise ValueError("an integer must fit into 64 bits")
    return value


Metadata = dict[
    Annotated[Text, Field(min_length=1, max_length=128)],
    Text
    | StrictBool
    | Annotated[StrictInt, Field(ge=-(2**63), lt=2**63)]
    | Annotated[float, Field(allow_inf_nan=False), BeforeValidator(_no_integer)],
]
"""What else is known of a document: strings, numbers, true and false, by name."""

Index = Literal["compactds", "leann", "bm25", "hybrid"]

Rerank = Literal["none", "llm"]

JUDGED = 20
"""Passages of a query that the language model judges, at most: the first by the index; the rest stay behind them."""
ASSISTED = 16
"""Queries of a request that the language model helps with, at most."""


class SearchRequest(Strict):
    """POST /v1/search.

    No `owners`: at the gateway every permitted owner whose default is in; at the service itself the public ones alone.
    """

    query: Annotated[str, Field(min_length=1)] | None = None
    queries: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1, max_length=256)] | None = None
    datastore: str = "main"
    index: Index = "compactds"
    k: Annotated[int, Field(ge=1, le=1000)] = 10
    candidates: Annotated[int, Field(ge=1, le=10000)] = 100
    nprobe: Annotated[int, Field(ge=1)] | None = None
    recompute: Annotated[int, Field(ge=1, le=1000)] = 50
    """`leann`: passages whose text is embedded again for a query, at most; never fewer than k."""
    recall: Annotated[float, Field(gt=0, le=1)] = 0.95
    """`leann`: share of the k best to be expected in the answer; with 1, `recompute` passages are embedded."""
    owners: list[OwnerId] | None = None
    filter: dict[str, Any] | None = None
    """Which passages are wanted, by what is known of their documents: `docs/retrieval.md`. It only takes away from the
    owners' passages."""
    diversity: Annotated[float, Field(ge=0, le=1)] = 0
    """Above 0, of passages like one another fewer are given: maximal marginal relevance with lambda = 1 - diversity."""
    min_score: Annotated[float, Field(allow_inf_nan=False)] | None = None
    """Passages with less than this by the score that orders them are not given."""
    rewrite: bool = False
    """The language model writes what an answer would be found in; that is searched for in the query's place."""
    rerank: Rerank = "none"
    """`llm`: the language model judges the best passages, and its score has half a say in their order."""

    @model_validator(mode="after")
    def _one_of(self) -> SearchRequest:
        if (self.query is None) == (self.queries is None):
            raise ValueError("give either `query` or `queries`")
        return self

    @model_validator(mode="after")
    def _within_the_models_reach(self) -> SearchRequest:
        if self.assisted() and len(self.texts()) > ASSISTED:
            raise ValueError(f"`rewrite` and `rerank` take at most {ASSISTED} queries at once")
        if self.rerank == "llm" and self.diversity:
            raise ValueError("give either `diversity` or `rerank`: each orders the passages its own way")
        return self

    def assisted(self) -> bool:
        """Whether it needs the language model."""
        return self.rewrite or self.rerank != "none"

    def texts(self) -> list[str]:
        """The queries, one or many."""
        return [self.query] if self.query is not None else self.queries or []


class PassageScores(BaseModel):
    """The score of each stage that saw the passage: inner products (`ann` as the index estimates them, `exact` of the
    vectors, perhaps a second encoder's), BM25, and `fused`, from 0 to 1: the mean of `exact` and `bm25`, each brought
    between 0 and 1."""

    ann: float | None = None
    exact: float | None = None
    bm25: float | None = None
    fused: float | None = None
    llm: float | None = None
    """The language model's, from 0 to 5: the expected value over the probabilities of the digits."""
    rerank: float | None = None
    """0.5 * llm / 5 + 0.5 * the index's own score, the latter from 0 for the least to 1 for the highest judged."""


class Passage(BaseModel):
    """A passage; `start` and `end` are code-point offsets into its document."""

    id: str
    document: str
    owner: OwnerId
    source: str
    title: str
    licence: str
    url: str | None = None
    text: str
    start: int
    end: int
    metadata: Metadata = {}
    scores: PassageScores


class SearchTimings(BaseModel):
    """Wall time by stage."""

    encode: Milliseconds = 0
    ann: Milliseconds = 0
    exact: Milliseconds = 0
    bm25: Milliseconds = 0
    filter: Milliseconds = 0
    diversity: Milliseconds = 0
    fetch: Milliseconds = 0
    rewrite: Milliseconds = 0
    rerank: Milliseconds = 0
    total: Milliseconds = 0


class FailedAssistance(BaseModel):
    """A stage of the language model that was left out, and why; the search is answered without it."""

    stage: Literal["rewrite", "rerank"]
    error: str


class SearchResponse(BaseModel):
    """`results[i]` answers query i, best first. `owners` is the set that was really applied. `recomputed[i]` counts the
    passages that `leann` scored by their text for query i, embedded now or kept from a search shortly before."""

    datastore: str
    index: Index
    owners: list[OwnerId]
    results: list[list[Passage]]
    timings: SearchTimings
    recomputed: list[int] | None = None
    rewrites: list[str] | None = None
    """What was searched for in the place of query i."""
    failed: list[FailedAssistance] = []
    warnings: list[str] = []


class SegmentInfo(BaseModel):
    """One immutable segment of a datastore. `documents` and `passages` are those that can be found."""

    id: str
    owner: OwnerId
    public: bool
    licence: str
    documents: int
    passages: int
    encoder: str
    exact: str | None = None
    """The encoder of the exact stage's vectors, if the segment has those of a second one."""
    dimension: int
    bytes: int
    hidden: int = 0
    """Passages beside those, which were deleted or written anew since it was made."""
    drift: float | None = None
    """How much more LEANN's codes lose of these vectors than of the public ones, which the codebook was learnt from:
    1 is as much. Above 2 a datastore without this owner's kind of text in public is searched less well by `leann`."""


class EncoderInfo(BaseModel):
    """An encoder. `licence` is None for one that is not of the published table: its publisher says it."""

    name: str
    revision: str
    dimension: int
    licence: str | None


class StageEncoders(BaseModel):
    """Whose vectors the scores `ann` and `exact` are by: mostly the same encoder's."""

    ann: EncoderInfo
    exact: EncoderInfo


class DatastoreWarning(BaseModel):
    """What is left out of a datastore, and why. `owner` is whose data it tells of, if anyone's."""

    owner: str | None = None
    message: str


class Datastore(BaseModel):
    """One datastore and what can be found in it."""

    id: str
    owners: list[OwnerId]
    documents: int
    passages: int
    encoder: str
    """That of the candidates; `encoders` has both."""
    encoders: StageEncoders
    indexes: list[Index]
    segments: list[SegmentInfo]
    warnings: list[DatastoreWarning] = []


class DatastoreList(BaseModel):
    """The answer to GET /v1/datastores."""

    object: Literal["list"] = "list"
    data: list[Datastore]


class Document(BaseModel):
    """A whole document of a datastore or a corpus."""

    id: str
    owner: OwnerId
    source: str
    title: str
    licence: str
    url: str | None = None
    text: str
    metadata: Metadata = {}


class NewDocument(Strict):
    """A document to add. Without a licence it has the owner's."""

    id: Annotated[str, Field(min_length=1, max_length=512)]
    text: Annotated[Text, Field(min_length=1, max_length=10_000_000)]
    title: Annotated[Text, Field(max_length=10_000)] = ""
    source: Annotated[Text, Field(min_length=1, max_length=512)] = "added"
    licence: Annotated[Text, Field(min_length=1, max_length=512)] | None = None
    url: Annotated[Text, Field(max_length=10_000)] | None = None
    metadata: Annotated[Metadata, Field(max_length=64)] = {}


class AddDocuments(Strict):
    """POST /v1/datastores/{datastore}/documents."""

    owner: OwnerId
    documents: Annotated[list[NewDocument], Field(min_length=1, max_length=1000)]


class DocumentsAdded(BaseModel):
    """They are on disk, and in the next search. `replaced` are the ids that stood there before."""

    owner: OwnerId
    added: list[str]
    replaced: list[str]
    passages: int


class Deleted(BaseModel):
    """The answer to DELETE: what was deleted is in no search any more."""

    id: str
    object: Literal["document", "owner"]
    deleted: Literal[True] = True


class EmbeddingRequest(Strict):
    """POST /v1/embeddings, OpenAI's shape."""

    model: str = "minilm"
    input: (
        Annotated[str, Field(min_length=1)]
        | Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1, max_length=2048)]
    )
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None
    user: str | None = None


class Embedding(BaseModel):
    """One vector, L2-normalised; base64 is little-endian float32."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class EmbeddingUsage(BaseModel):
    """Token counts of an embedding request."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingList(BaseModel):
    """The answer to POST /v1/embeddings."""

    object: Literal["list"] = "list"
    model: str
    data: list[Embedding]
    usage: EmbeddingUsage
