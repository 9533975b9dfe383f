"""The model service: OpenAI's completions with a mask of experts, the experts themselves, and scores."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from shared.contracts.base import OwnerId, Strict, Text
from shared.contracts.openai import (
    ChatChunk,
    ChatCompletion,
    ChatRequestFields,
    Choice,
    CompletionChoice,
    CompletionRequestFields,
    TextCompletion,
)

PUBLIC = "public"
"""The id of expert 0, which no mask leaves out; an anchor that is a mixture has more public experts."""


class ExpertMask(Strict):
    """Which experts may compute. Absent means the public expert alone; the public expert is always on."""

    experts: list[str] = [PUBLIC]
    continue_final_message: bool = False
    """The last message is the assistant's own beginning, to be continued (NoThinking's prefill)."""
    tokens: bool = False
    """Return `SampleDetail.logprobs` and `mean_logprobs`."""


class AppliedMask(BaseModel):
    """The mask that was really applied, to be checked against what was asked."""

    experts: list[str]
    vocabulary: int


class SampleDetail(BaseModel):
    """What NoThinking's confidence and the ledger need of one sample.

    `logprobs[t]` and `mean_logprobs[t]` are log p of the chosen token and the mean of log p over the whole
    vocabulary at generated token t (nats). `routing` is the share of router probability mass of each
    expert over all layers and generated tokens; it sums to 1, and is 0 for an expert left out.
    """

    tokens: int
    routing: dict[str, float]
    self_certainty: float | None = None
    logprobs: list[float] | None = None
    mean_logprobs: list[float] | None = None


class ModelChatRequest(ChatRequestFields):
    """POST /v1/chat/completions of the model service."""

    candor: ExpertMask = ExpertMask()


class ModelChoice(Choice):
    """An answer with its detail."""

    candor: SampleDetail


class ModelChatCompletion(ChatCompletion):
    """The model service's chat completion."""

    choices: list[ModelChoice]
    candor: AppliedMask


class FinalDetail(AppliedMask):
    """Carried by the last chunk of a stream: the mask, and the detail of each sample by index."""

    samples: list[SampleDetail]


class ModelChatChunk(ChatChunk):
    """A chunk of the model service's stream.

    `candor` is on two of them: the mask on the first, before any text, and with the samples' details on the last.
    """

    candor: FinalDetail | AppliedMask | None = None


class ModelCompletionRequest(CompletionRequestFields):
    """POST /v1/completions of the model service."""

    candor: ExpertMask = ExpertMask()


class ModelCompletionChoice(CompletionChoice):
    """A completion with its detail; a streamed one carries it at its end only."""

    candor: SampleDetail | None = None


class ModelTextCompletion(TextCompletion):
    """The model service's text completion."""

    choices: list[ModelCompletionChoice]
    candor: AppliedMask


class Expert(BaseModel):
    """One expert of the served model; a `public` one is always on."""

    id: str
    index: int
    owner: OwnerId | None
    public: bool = False
    licence: str | None = None
    trained_tokens: int | None = None


class ExpertList(BaseModel):
    """The answer to GET /v1/experts; `active` is the router's k."""

    object: Literal["list"] = "list"
    model: str
    architecture: str
    active: int
    data: list[Expert]


class ScoreRequest(Strict):
    """Texts (or token ids) to score under a mask."""

    model: str = "candor"
    texts: list[Text] | None = None
    tokens: list[list[int]] | None = None
    experts: list[str] = [PUBLIC]


class TextScore(BaseModel):
    """Per-token statistics of one text; entry t speaks of token t + 1 given tokens 0..t.

    `logprobs`: log p of the token (nats); `means`, `variances`: of log p over the whole vocabulary, uniformly
    weighted. The first token of a text has no score.
    """

    tokens: list[int]
    logprobs: list[float]
    means: list[float]
    variances: list[float]
    routing: dict[str, float]


class Scores(BaseModel):
    """The answer to POST /v1/score."""

    model: str
    candor: AppliedMask
    data: list[TextScore]
