"""OpenAI's chat, completions and models, as far as Candor serves them; gateway and model service extend them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field, model_validator

from shared.contracts.base import Open, Text
from shared.contracts.misplaced import not_nested
from shared.contracts.unserved import Modalities, Penalty, ResponseFormat, Suffix, ToolChoice, Tools

FinishReason = Literal["stop", "length"]


class Part(Open):
    """A part of a request of OpenAI's."""

    __pydantic_extra__: dict[Annotated[str, AfterValidator(not_nested)], Any]


class TextPart(Part):
    """A part of a message's content; only text is served."""

    type: Literal["text"]
    text: Text


class Message(Part):
    """One turn of a conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Text | list[TextPart]

    def text(self) -> str:
        """The content as one string."""
        return self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)


class StreamOptions(Part):
    """What a stream carries besides the text."""

    include_usage: bool = False


StopString = Annotated[Text, Field(max_length=1024)]
"""The longest is compared with the end of the text at every token."""


class SamplingFields(Open):
    """The sampling parameters that chat and text completions share."""

    n: Annotated[int, Field(ge=1, le=64)] = 1
    temperature: Annotated[float, Field(ge=0, le=2)] = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    stop: StopString | Annotated[list[StopString], Field(max_length=16)] | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    logit_bias: Annotated[dict[str, Annotated[float, Field(ge=-100, le=100)]], Field(max_length=1024)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    user: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, body: Any) -> Any:
        """OpenAI's schema lets most fields be null, and some clients send them so."""
        return {name: value for name, value in body.items() if value is not None} if isinstance(body, dict) else body

    def stops(self) -> list[str]:
        """The stop strings as a list, empty ones left out."""
        stops = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return [stop for stop in stops if stop]


class ChatRequestFields(SamplingFields):
    """The body of POST /v1/chat/completions without an extension object."""

    model: str
    messages: Annotated[list[Message], Field(min_length=1)]
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    logprobs: bool = False
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    response_format: ResponseFormat | None = None
    modalities: Modalities | None = None
    tools: Tools | None = None
    tool_choice: ToolChoice | None = None
    functions: Tools | None = None
    function_call: ToolChoice | None = None

    def token_limit(self) -> int | None:
        """The asked number of new tokens at most; the newer name wins."""
        return self.max_completion_tokens or self.max_tokens


class CompletionRequestFields(SamplingFields):
    """The body of POST /v1/completions without an extension object."""

    model: str
    prompt: Text | list[Text] | list[int] | list[list[int]]
    max_tokens: Annotated[int, Field(ge=0)] = 16
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    echo: bool = False
    best_of: Annotated[int, Field(ge=1)] | None = None
    suffix: Suffix | None = None


class Usage(BaseModel):
    """Token counts of a request; the prompt counts once, however many samples it gave."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class TopLogprob(BaseModel):
    """A candidate token and its log-probability (nats)."""

    token: str
    logprob: float
    bytes: list[int] | None = None


class TokenLogprob(TopLogprob):
    """A chosen token with the most probable candidates beside it."""

    top_logprobs: list[TopLogprob] = []


class ChoiceLogprobs(BaseModel):
    """Log-probabilities of a chat choice."""

    content: list[TokenLogprob]


class CompletionLogprobs(BaseModel):
    """Log-probabilities of a text completion, in the older parallel-lists shape."""

    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None]
    text_offset: list[int]


class UrlCitation(BaseModel):
    """Where a marked stretch of the answer comes from; indices are code points into the content."""

    start_index: int
    end_index: int
    title: str
    url: str


class Annotation(BaseModel):
    """OpenAI's annotation of a message."""

    type: Literal["url_citation"] = "url_citation"
    url_citation: UrlCitation


class AssistantMessage(BaseModel):
    """The answer. `reasoning_content`: the thinking before it, under the name vLLM gives it."""

    role: Literal["assistant"] = "assistant"
    content: str
    reasoning_content: str | None = None
    refusal: str | None = None
    annotations: list[Annotation] = []


class Choice(BaseModel):
    """One of the n answers."""

    index: int
    message: AssistantMessage
    finish_reason: FinishReason
    logprobs: ChoiceLogprobs | None = None


class ChatCompletion(BaseModel):
    """The answer to POST /v1/chat/completions without an extension object."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    usage: Usage
    system_fingerprint: str | None = None
    warnings: list[str] = []


class Delta(BaseModel):
    """What a chunk adds to a message."""

    role: Literal["assistant"] | None = None
    content: str | None = None
    reasoning_content: str | None = None
    annotations: list[Annotation] | None = None


class ChunkChoice(BaseModel):
    """One answer's part of a chunk."""

    index: int
    delta: Delta
    finish_reason: FinishReason | None = None
    logprobs: ChoiceLogprobs | None = None


class ChatChunk(BaseModel):
    """One server-sent event of a streamed chat completion."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: Usage | None = None


class CompletionChoice(BaseModel):
    """One of the n completions of a prompt."""

    index: int
    text: str
    finish_reason: FinishReason | None
    logprobs: CompletionLogprobs | None = None


class TextCompletion(BaseModel):
    """The answer to POST /v1/completions, and each chunk of its stream."""

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    usage: Usage | None = None
    warnings: list[str] = []


class Model(BaseModel):
    """A model that a client can name; `max_model_len` is its context in tokens, under the name vLLM gives it."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str
    max_model_len: int | None = None


class ModelList(BaseModel):
    """The answer to GET /v1/models."""

    object: Literal["list"] = "list"
    data: list[Model]


class ErrorDetail(BaseModel):
    """OpenAI's error object; all four fields are always present."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(BaseModel):
    """The error body of every path that is OpenAI's."""

    error: ErrorDetail
