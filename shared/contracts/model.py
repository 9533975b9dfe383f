"""The model service: OpenAI's completions with a mask of experts, the experts themselves, and scores."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, Field, model_validator

from shared.contracts.base import Open, OwnerId, Strict, Text
from shared.contracts.misplaced import not_misplaced
from shared.contracts.openai import (
    ChatChunk,
    ChatCompletion,
    ChatRequestFields,
    Choice,
    CompletionChoice,
    CompletionRequestFields,
    Message,
    TextCompletion,
)

PUBLIC = "public"
"""The id of expert 0, which no mask leaves out; an anchor that is a mixture has more public experts."""


class ExpertMask(Strict):
    """Which experts may compute. Absent means the public expert alone; the public expert is always on."""

    experts: list[str] = [PUBLIC]
    continue_final_message: bool = False
    """The last message is the assistant's own beginning, to be continued (NoThinking's prefill)."""
    control: Annotated[list[Annotated[Text, Field(min_length=1)]], Field(max_length=8)] = []
    """Of the message to be continued, what is a control token of the model, such as `<think>`; all else is plain text.
    What the chat template has written already at the beginning of the turn is not written again."""
    when_ended: bool = False
    """Of a stream of a chat: a chunk for the samples that have ended in one step, whole and with their details."""
    memfree: Annotated[list[OwnerId], Field(max_length=64)] = []
    """MemFree decoding: no ten tokens in a row, the prompt's among them, that stand in these owners' texts."""
    tokens: bool = False
    """Return `SampleDetail.logprobs` and `mean_logprobs`."""

    def named(self) -> list[str] | None:
        """The experts the request names; None when it does not say."""
        return self.experts if "experts" in self.model_fields_set else None


MaskField = Annotated[str, AfterValidator(not_misplaced(ExpertMask))]
"""The name of a field beside OpenAI's."""


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

    __pydantic_extra__: dict[MaskField, Any]

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


class EndedDetail(AppliedMask):
    """Carried by the chunk of samples that have ended, `when_ended`: the details of the chunk's choices in their order,
    and the tokens of every sample so far."""

    ended: list[SampleDetail]
    generated: list[int]


class ModelChatChunk(ChatChunk):
    """A chunk of the model service's stream.

    `candor` is on two of them: the mask on the first, before any text, and with the samples' details on the last;
    `when_ended`, it is on every one.
    """

    candor: FinalDetail | EndedDetail | AppliedMask | None = None


class ModelCompletionRequest(CompletionRequestFields):
    """POST /v1/completions of the model service."""

    __pydantic_extra__: dict[MaskField, Any]

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


class TextsOrTokens(Strict):
    """What is to be scored: texts, or what they are as token ids."""

    texts: Annotated[list[Text], Field(min_length=1, max_length=1024)] | None = None
    tokens: Annotated[list[list[int]], Field(min_length=1, max_length=1024)] | None = None

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if (self.texts is None) == (self.tokens is None):
            raise ValueError("give either `texts` or `tokens`")
        return self

    def count(self) -> int:
        """How many there are."""
        return len(self.texts if self.texts is not None else self.tokens or [])


class ScoreOptions(Strict):
    """What is scored beside the log-probabilities, since it costs more."""

    own_moments: bool = False
    """Return `TextScore.own_means` and `own_variances`."""
    gradient_norm: bool = False
    """Return `TextScore.gradient_norm`, which takes about four times as long as the rest."""


class ScoreRequest(TextsOrTokens, ScoreOptions):
    """Texts (or token ids) to score, all under one mask, or each under its own of `masks`."""

    model: str = "candor"
    experts: list[str] | None = None
    masks: list[list[str]] | None = None

    @model_validator(mode="after")
    def _one_mask_each(self) -> Self:
        if self.masks is not None and self.experts is not None:
            raise ValueError("give either `experts`, for all texts, or `masks`, one for each")
        if self.masks is not None and len(self.masks) != self.count():
            raise ValueError(f"there are {len(self.masks)} masks for {self.count()} texts")
        return self


class TextScore(BaseModel):
    """Per-token statistics of one text; entry t speaks of token t + 1 given tokens 0..t.

    `logprobs`: log p of the token (nats); `means`, `variances`: of log p over the whole vocabulary, uniformly
    weighted. The first token of a text has no score. `experts`: the mask that this text was scored under.
    `own_means`, `own_variances`: mean and variance of log p under the next-token distribution itself (minus its
    entropy, nats; Min-K%++'s mu and sigma squared). `gradient_norm`: the Euclidean norm of the gradient of the mean
    negative log-likelihood by every parameter outside the experts and routers (embeddings, attention, norms, head),
    which flows through the allowed experts only.
    """

    tokens: list[int]
    logprobs: list[float]
    means: list[float]
    variances: list[float]
    routing: dict[str, float]
    experts: list[str]
    own_means: list[float] | None = None
    own_variances: list[float] | None = None
    gradient_norm: float | None = None


class Scores(BaseModel):
    """The answer to POST /v1/score; `candor.experts` are those of all the masks."""

    model: str
    candor: AppliedMask
    data: list[TextScore]


class TokenizeRequest(Open):
    """POST /tokenize, in vLLM's shape: a `prompt`, or `messages` as the chat template puts them to the model."""

    model: str | None = None
    prompt: Text | None = None
    messages: Annotated[list[Message], Field(min_length=1)] | None = None
    add_special_tokens: bool | None = None
    """With the tokens that the model wants at a text's beginning; default for a prompt. A template has its own."""
    add_generation_prompt: bool | None = None
    """Up to where the assistant's answer begins: the default, unless the last message is to be continued."""
    continue_final_message: bool = False
    return_token_strs: bool | None = False

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if (self.prompt is None) == (self.messages is None):
            raise ValueError("give either `prompt` or `messages`")
        if self.messages is not None and self.add_special_tokens:
            raise ValueError("`add_special_tokens` is for a prompt: a chat template writes its own")
        if self.continue_final_message and self.add_generation_prompt:
            raise ValueError("give either `continue_final_message` or `add_generation_prompt`")
        return self


class Tokens(BaseModel):
    """The answer to POST /tokenize; `token_strs` as the vocabulary spells them, on `return_token_strs`."""

    count: int
    max_model_len: int
    tokens: list[int]
    token_strs: list[str] | None = None


class DetokenizeRequest(Open):
    """POST /detokenize, in vLLM's shape."""

    model: str | None = None
    tokens: list[int]


class Detokenized(BaseModel):
    """The answer to POST /detokenize: the text of the tokens, special ones too."""

    prompt: str


class TokenizerInfo(BaseModel):
    """The answer to GET /tokenizer_info: of vLLM's, the names of the special tokens and the chat template."""

    bos_token: str | None = None
    eos_token: str | None = None
    pad_token: str | None = None
    unk_token: str | None = None
    chat_template: str | None = None
