"""The tracing service: verbatim spans of a text in the owners' corpora. All offsets are code points."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from shared.contracts.base import Milliseconds, OwnerId, Strict, Text

Relevance = Literal["high", "medium", "low"]


class PassageRead(Strict):
    """A passage that was put before the model that wrote the text."""

    id: Annotated[Text, Field(max_length=1024)]
    text: Text


class TraceRequest(Strict):
    """POST /v1/trace. No `corpora` means all of the owners'. `prompt` and `passages` are what the text's writer read.

    No `owners`: at the gateway every permitted owner whose default is in; at the service itself the public ones alone.
    """

    text: Annotated[Text, Field(min_length=1)]
    prompt: Text = ""
    passages: Annotated[list[PassageRead], Field(max_length=100)] = []
    corpora: list[Text] | None = None
    owners: list[OwnerId] | None = None
    min_length: Annotated[int, Field(ge=1, description="Tokens a span has at least.")] = 1
    max_count: Annotated[int, Field(ge=1, description="A span more frequent than this is dropped.")] = 1_000_000
    max_spans: (
        Annotated[int, Field(ge=1, description="Spans kept; default ceil(0.05 x tokens) as OLMoTrace.")] | None
    ) = None
    documents: Annotated[int, Field(ge=0, le=100, description="Documents sampled for each span at most.")] = 10
    context: Annotated[int, Field(ge=0, le=1000, description="Tokens of a snippet on either side.")] = 40
    seed: int = 0
    delimiters: Annotated[Text, Field(max_length=100, description="Characters after which a span ends.")] = ".\n"
    whole_words: Annotated[bool, Field(description="Spans begin and end with words, and not within them.")] = True
    approximate: Annotated[bool, Field(description="Look for stretches that stand nearly, too.")] = False
    similarity: Annotated[float, Field(ge=0.5, le=1, description="Of an approximate match, at least.")] = 0.8
    min_words: Annotated[int, Field(ge=4, le=1000, description="Words of an approximate match, at least.")] = 8


class Match(BaseModel):
    """A place in a document at which a span stands; what else is known of the document is in the trace's `documents`.

    `match_start` and `match_end` locate the span inside the snippet. `token` and `tokens` are the place in the
    document, for its long view: `GET /v1/corpora/{corpus}/documents/{id}?token=...&tokens=...`. `score` is the
    document's.
    """

    id: str
    owner: OwnerId
    corpus: str
    snippet: str
    match_start: int
    match_end: int
    token: int = 0
    tokens: int = 1
    score: float


class SourceDocument(BaseModel):
    """What is known of a document that an answer is about."""

    id: str
    owner: OwnerId
    corpus: str
    source: str
    title: str
    licence: str
    url: str | None = None


class TracedDocument(SourceDocument):
    """A document in which spans stand, once in a trace; `score` is that of its best match."""

    metadata: dict[str, str | int | float | bool] = {}
    score: float
    relevance: Relevance


class Span(BaseModel):
    """A stretch `text[start:end]` that stands verbatim in the corpora.

    `length` is in tokens, `count` over all the corpora searched. `owners` are all those in whose corpora it stands,
    whether or not a document of theirs is among the `documents` shown. `in_prompt`, `in_passages`: it stands, as whole
    words, in the prompt and in passages of these ids: what was just read and said again is not memorised.
    """

    start: int
    end: int
    text: str
    length: int
    count: int
    relevance: Relevance
    in_prompt: bool = False
    in_passages: list[str] = []
    owners: list[OwnerId]
    documents: list[Match]

    @property
    def copied(self) -> bool:
        """Whether the model had just read it."""
        return self.in_prompt or bool(self.in_passages)


class Difference(BaseModel):
    """`text[start:end]` of the traced text stands as `snippet[match_start:match_end]`; either may be empty."""

    start: int
    end: int
    match_start: int
    match_end: int


class ApproximateSpan(SourceDocument):
    """A stretch `text[start:end]` that stands nearly in a document, there as `snippet`.

    `similarity` is twice the equal words over the words of both; words are equal whatever their case, punctuation and
    Unicode form. No `differences` means that only those are others.
    """

    start: int
    end: int
    text: str
    similarity: float
    snippet: str
    differences: list[Difference]


class TraceTimings(BaseModel):
    """Wall time by step."""

    tokenize: Milliseconds = 0
    search: Milliseconds = 0
    documents: Milliseconds = 0
    relevance: Milliseconds = 0
    approximate: Milliseconds = 0
    total: Milliseconds = 0


class Trace(BaseModel):
    """The answer to POST /v1/trace. `owners` and `corpora` are what was really searched.

    `documents` has each document that a span names once, best first. About a text of at most 500 tokens the whole is
    at most 100,000 bytes, and 200 bytes for each token of a longer one: where it would be more, snippets are shorter
    and documents fewer, and `warnings` says so. `approximate` has, if asked for, what stands nearly and is no part of
    a span; it is not shortened, and can make the whole larger.
    """

    spans: list[Span]
    documents: list[TracedDocument] = []
    approximate: list[ApproximateSpan] = []
    tokens: int
    owners: list[OwnerId]
    corpora: list[str]
    timings: TraceTimings
    warnings: list[str] = []

    def named(self) -> set[OwnerId]:
        """Every owner that any part of the answer names, to be checked against those that may take part."""
        spans = [owner for span in self.spans for owner in span.owners]
        matches = [match.owner for span in self.spans for match in span.documents]
        documents = [document.owner for document in self.documents]
        return {*self.owners, *spans, *matches, *documents, *(span.owner for span in self.approximate)}


Words = Annotated[Text, Field(min_length=1)]


class CountRequest(Strict):
    """POST /v1/count and /v1/find: a text, token ids, or `clauses`.

    `clauses` asks for places where one text of every clause stands, all in one document and at most `distance` tokens
    from that of the rarest clause, first token to first token.
    """

    text: Words | None = None
    tokens: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)] | None = None
    clauses: (
        Annotated[list[Annotated[list[Words], Field(min_length=1, max_length=16)]], Field(min_length=1, max_length=8)]
        | None
    ) = None
    distance: Annotated[int, Field(ge=1, le=10_000)] = 100
    corpora: list[Text] | None = None
    owners: list[OwnerId] | None = None


class TraceBatch(Strict):
    """POST /v1/trace/batch. Each answer is that of /v1/trace.

    All texts, all prompts and all passages are together as long as those of one request at most.
    """

    items: Annotated[list[TraceRequest], Field(min_length=1, max_length=32)]


class TraceList(BaseModel):
    """The answer to POST /v1/trace/batch: a trace for each item, in their order."""

    object: Literal["list"] = "list"
    data: list[Trace]


class CountBatch(Strict):
    """POST /v1/count/batch, of texts and tokens. All together are as long as one text at most."""

    items: Annotated[list[CountRequest], Field(min_length=1, max_length=256)]


class CorpusCount(BaseModel):
    """Occurrences in one corpus."""

    corpus: str
    owner: OwnerId
    count: int


class Count(BaseModel):
    """The answer to POST /v1/count. `approximate`: the rarest clause was too frequent to look at all of its places."""

    count: int
    approximate: bool = False
    tokens: list[int]
    corpora: list[CorpusCount]
    owners: list[OwnerId]

    def named(self) -> set[OwnerId]:
        """As Trace.named."""
        return {*self.owners, *(corpus.owner for corpus in self.corpora)}


class CountList(BaseModel):
    """The answer to POST /v1/count/batch: a count for each item, in their order."""

    object: Literal["list"] = "list"
    data: list[Count]


class FindRequest(CountRequest):
    """POST /v1/find: occurrences with their documents, at most `limit` of them."""

    limit: Annotated[int, Field(ge=1, le=100)] = 10
    context: Annotated[int, Field(ge=0, le=1000)] = 40
    seed: int = 0


class Occurrence(SourceDocument):
    """One occurrence in a document; `start` and `end` locate the match in the document's text."""

    start: int
    end: int
    snippet: str
    match_start: int
    match_end: int


class Find(BaseModel):
    """The answer to POST /v1/find; with clauses, `approximate` as in Count, and a place of the rarest each."""

    count: int
    approximate: bool = False
    tokens: list[int]
    occurrences: list[Occurrence]
    owners: list[OwnerId]

    def named(self) -> set[OwnerId]:
        """As Trace.named."""
        return {*self.owners, *(occurrence.owner for occurrence in self.occurrences)}


class Corpus(BaseModel):
    """One corpus: the text of one owner that is indexed for tracing."""

    id: str
    owner: OwnerId
    public: bool
    licence: str
    documents: int
    tokens: int
    segments: int
    bytes: int
    tokenizer: str


class CorpusList(BaseModel):
    """The answer to GET /v1/corpora."""

    object: Literal["list"] = "list"
    data: list[Corpus]
    warnings: list[str] = []


class Place(Strict):
    """Of a document: `tokens` tokens from number `token` on, as matches have it, and `context` on either side."""

    token: Annotated[int, Field(ge=0)]
    tokens: Annotated[int, Field(ge=1)] = 1
    context: Annotated[int, Field(ge=0, le=1000)] = 250


class CorpusDocument(SourceDocument):
    """A document of a corpus: the whole of it, or a window of it around the match `text[match_start:match_end]`."""

    text: str
    match_start: int | None = None
    match_end: int | None = None
