"""Candor's extension of a chat completion: what a request may say, and what an answer says of itself."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field, model_validator

from shared.contracts.base import Milliseconds, OwnerId, Strict
from shared.contracts.misplaced import not_misplaced
from shared.contracts.openai import (
    ChatChunk,
    ChatCompletion,
    ChatRequestFields,
    Choice,
    CompletionChoice,
    CompletionRequestFields,
    TextCompletion,
)
from shared.contracts.retrieval import Index, PassageScores, Rerank
from shared.contracts.tracing import ApproximateSpan, Span, TracedDocument
from shared.contracts.verifier import Verifier

Stage = Literal["policy", "retrieve", "rewrite", "rerank", "generate", "verify", "aggregate", "trace", "ledger"]


LONGEST_BUDGET = 32_768


class OwnerChoice(Strict):
    """Which owners take part: only these, or all but these. Absent: every permitted owner whose default is in."""

    include: list[OwnerId] | None = None
    exclude: list[OwnerId] | None = None

    @model_validator(mode="after")
    def _one_of(self) -> OwnerChoice:
        if self.include is not None and self.exclude is not None:
            raise ValueError("give `include` or `exclude`, not both")
        return self


class RetrievalOptions(Strict):
    """Which passages the model reads.

    One by default: the embedded model gets lost in more (docs/answers.md has the figures); larger models read more.
    """

    enabled: bool = True
    datastore: str = "main"
    index: Index = "hybrid"
    k: Annotated[int, Field(ge=1, le=20)] = 1
    candidates: Annotated[int, Field(ge=1, le=1000)] = 100
    rewrite: bool = False
    rerank: Rerank = "none"


class SamplingOptions(Strict):
    """How many samples answer in parallel, and how one answer is made of them.

    `budget`: tokens of each sample, its thinking and a forced final answer among them. `verifier`: checks every
    sample; the rule `verifier` chooses by it, and the other rules only report it. `early_stop`: abort the samples
    that can no longer change which answer wins (`majority`, `confidence`), or all others once one is verified.
    """

    mode: Literal["no_thinking", "thinking", "plain"] = "no_thinking"
    samples: Annotated[int, Field(ge=1, le=64)] = 5
    budget: Annotated[int, Field(ge=1, le=LONGEST_BUDGET)] = 88
    aggregate: Literal["confidence", "majority", "verifier", "first", "best"] = "confidence"
    verifier: Verifier | None = None
    early_stop: bool = False

    @model_validator(mode="after")
    def _verifier_given(self) -> SamplingOptions:
        if self.aggregate == "verifier" and self.verifier is None:
            raise ValueError("`aggregate` is 'verifier': say in `verifier` what verifies a sample")
        return self


class TraceOptions(Strict):
    """Where the answer's words are looked for verbatim."""

    enabled: bool = True
    corpora: list[str] | None = None
    min_length: Annotated[int, Field(ge=1)] = 1
    max_count: Annotated[int, Field(ge=1)] = 1_000_000
    max_spans: Annotated[int, Field(ge=1)] | None = None
    documents: Annotated[int, Field(ge=0, le=100)] = 10
    approximate: bool = False


class CandorOptions(Strict):
    """The `candor` object of a request; `false` turns a stage off."""

    owners: OwnerChoice = OwnerChoice()
    retrieval: RetrievalOptions | Literal[False] = RetrievalOptions()
    sampling: SamplingOptions = SamplingOptions()
    trace: TraceOptions | Literal[False] = TraceOptions()
    strict: bool = False


class AppliedOwners(BaseModel):
    """Consent as it was computed: effective = permitted less what the request leaves out, and public owners."""

    permitted: list[OwnerId]
    requested: OwnerChoice
    effective: list[OwnerId]


class ReadPassage(BaseModel):
    """A passage the model read; the answer cites it as [n]."""

    n: int
    id: str
    document: str
    owner: OwnerId
    source: str
    title: str
    licence: str
    url: str | None = None
    text: str
    scores: PassageScores


class Sample(BaseModel):
    """One of the parallel samples. `confidence` is self-certainty in nats; `votes` what its answer's class got.

    `tokens` are all that it generated, `reasoning` the thinking among them, which is no part of `text`. `verified`:
    what the verifier said; null when there is none, it failed, or the early stop did not wait for it. `finish_reason`
    "aborted": the answer was decided before the sample ended, and its text is not shown.
    """

    text: str
    answer: str
    confidence: float | None
    tokens: int
    finish_reason: str
    votes: float
    verified: bool | None = None
    reasoning: str | None = None


class AnswerTrace(BaseModel):
    """The verbatim spans; `id` fetches them again at /v1/traces/{id}."""

    id: str
    corpora: list[str]
    spans: list[Span]
    documents: list[TracedDocument] = []
    approximate: list[ApproximateSpan] = []


class LedgerEntry(BaseModel):
    """What one owner's data did for one answer.

    `routing_share` is the share of router probability mass of the owner's experts over all layers and generated
    tokens of all samples that ended. `traced_characters` counts code points of the answer inside spans found in the
    owner's corpora.
    """

    owner: OwnerId
    experts: list[str]
    routing_share: float
    passages: int
    traced_characters: int


class FailedStage(BaseModel):
    """A stage that failed without losing the answer, and what is missing because of it."""

    stage: Stage
    error: str


class Timings(BaseModel):
    """Wall time by stage; `rewrite` and `rerank` are parts of `retrieve`. What is verified while other samples are
    still generated is a part of `generate`. `overhead` is the gateway's own: the
    total less the time its services took."""

    policy: Milliseconds = 0
    retrieve: Milliseconds = 0
    rewrite: Milliseconds = 0
    rerank: Milliseconds = 0
    generate: Milliseconds = 0
    verify: Milliseconds = 0
    aggregate: Milliseconds = 0
    trace: Milliseconds = 0
    ledger: Milliseconds = 0
    overhead: Milliseconds = 0
    total: Milliseconds = 0


class CandorReport(BaseModel):
    """The `candor` object of a response: who took part and how."""

    id: str
    owners: AppliedOwners
    rewrite: str | None = None
    """What was searched for in the question's place."""
    passages: list[ReadPassage]
    samples: list[Sample]
    winner: int
    tokens_saved: int = 0
    """Tokens that aborted samples had left of their budgets: what the early stop saved at most."""
    trace: AnswerTrace | None
    ledger: list[LedgerEntry]
    timings: Timings
    failed: list[FailedStage]
    warnings: list[str]


class ChatRequest(ChatRequestFields):
    """POST /v1/chat/completions of the gateway."""

    __pydantic_extra__: dict[Annotated[str, AfterValidator(not_misplaced(CandorOptions))], Any]

    candor: CandorOptions = CandorOptions()


class ChatAnswer(ChatCompletion):
    """The gateway's chat completion."""

    choices: list[Choice]
    candor: CandorReport


class AnswerChunk(ChatChunk):
    """A chunk of the gateway's stream; the report is on the last one only."""

    candor: CandorReport | None = None


class CompletionOptions(Strict):
    """The `candor` object of a text completion: the model alone, with the experts of these owners.

    `memfree`: owners whose texts it may not repeat, ten tokens or more (MemFree decoding).
    """

    owners: OwnerChoice = OwnerChoice()
    memfree: Annotated[list[OwnerId], Field(max_length=64)] = []


class CompletionRequest(CompletionRequestFields):
    """POST /v1/completions of the gateway."""

    __pydantic_extra__: dict[Annotated[str, AfterValidator(not_misplaced(CompletionOptions))], Any]

    candor: CompletionOptions = CompletionOptions()


class CompletionReport(BaseModel):
    """The `candor` object of a text completion: whose experts took part."""

    id: str
    owners: AppliedOwners
    ledger: list[LedgerEntry]


class CompletionAnswer(TextCompletion):
    """The gateway's text completion; of a stream's chunks only the last has the report."""

    choices: list[CompletionChoice]
    candor: CompletionReport | None = None
