"""Routing: the share of each expert and owner in a text, and OLMoE's analyses over texts of several domains."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints

from shared.contracts.base import OwnerId, Strict, Text
from shared.contracts.model import AppliedMask
from shared.contracts.openai import Message

Domain = Annotated[str, StringConstraints(min_length=1, max_length=64)]
CheckpointName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
"""A folder of CANDOR_HOME/models, and nothing that leads out of it."""


class RoutingInput(Strict):
    """What is routed: a text, token ids, or a conversation in the model's chat template; exactly one of them."""

    model: str = "candor"
    text: Text | None = None
    tokens: list[int] | None = None
    messages: Annotated[list[Message], Field(min_length=1)] | None = None
    continue_final_message: bool = False
    """The last message is the assistant's, and the text ends with it: how a finished answer is routed again."""
    chosen: bool = False
    """Return `TextRouting.chosen`."""


class RoutingRequest(RoutingInput):
    """POST /v1/routing of the model service. The public expert is always on."""

    experts: list[str] | None = None


class Shares(BaseModel):
    """Shares of router probability: of each expert, which sum to 1, and of each owner, the sum of its experts'.

    The public expert's share is no owner's.
    """

    experts: dict[str, float]
    owners: dict[OwnerId, float]


class ShareSeries(BaseModel):
    """Shares along the layers, or along the tokens, of a text."""

    experts: dict[str, list[float]]
    owners: dict[OwnerId, list[float]]


class RoutedToken(BaseModel):
    """A token: its own text, and which code points of the whole text it is a part of, from `start` up to `end`."""

    id: int
    token: str
    start: int
    end: int


class TextRouting(BaseModel):
    """The answer to POST /v1/routing.

    `text`: what the tokens say, special ones included. `shares`: over all tokens and layers; `by_layer`: over the
    tokens, a value a layer; `by_token`: over the layers, a value a token. `chosen[t][l]`: the experts that computed
    token t in layer l, the most probable first, at most `active` (the router's k). All public experts are "public":
    of an anchor that is a mixture, `chosen` may name it more than once.
    """

    model: str
    candor: AppliedMask
    active: int
    text: str
    tokens: list[RoutedToken]
    shares: Shares
    by_layer: ShareSeries
    by_token: ShareSeries
    chosen: list[list[list[str]]] | None = None


class AnalysisInput(Strict):
    """What is analysed: texts by domain, each of which fits the model's context."""

    model: str = "candor"
    texts: Annotated[dict[Domain, Annotated[list[Text], Field(min_length=1)]], Field(min_length=1, max_length=32)]
    against: CheckpointName | None = None
    """Another checkpoint, a folder of CANDOR_HOME/models with the same tokenizer and layers: adds `saturation`."""
    least: Annotated[int, Field(ge=1)] = 10
    """Vocabulary entries seen fewer times are left out."""


class AnalysisRequest(AnalysisInput):
    """POST /v1/routing/analysis of the model service. The public expert is always on."""

    experts: list[str] | None = None


class DomainRouting(BaseModel):
    """A domain's routing by [layer][expert].

    `shares`: of router probability, a layer sums to 1. `specialisation`: the share of the domain's tokens that the
    expert computed, a layer sums to k.
    """

    texts: int
    tokens: int
    shares: list[list[float]]
    specialisation: list[list[float]]


class CoActivation(BaseModel):
    """Which experts compute the same tokens.

    `tokens[layer][i]`: how many expert i computed. `shares[layer][i][j]`: of those, the share that j computed too;
    null when there are none.
    """

    tokens: list[list[int]]
    shares: list[list[list[float | None]]]


class VocabularyEntry(BaseModel):
    """A vocabulary entry: how often it was seen, and by whom it was computed, averaged over the layers.

    `specialisation`: the share of the most frequent expert of each layer. `shares`: of its tokens, by expert.
    """

    id: int
    token: str
    count: int
    specialisation: float
    shares: list[float]


class VocabularyRouting(BaseModel):
    """Vocabulary specialisation by one kind of id, the most specialised entries first.

    `by_layer`: mean specialisation over the entries. `rare_entries` were seen fewer than `least` times, in
    `rare_tokens` tokens, and are in no figure.
    """

    tokens: int
    rare_entries: int
    rare_tokens: int
    by_layer: list[float]
    entries: list[VocabularyEntry]


class Vocabulary(BaseModel):
    """Specialisation by the token routed, by the one that follows it, and by the one the model would say next."""

    input: VocabularyRouting
    next: VocabularyRouting
    predicted: VocabularyRouting


class Saturation(BaseModel):
    """Overlap of the experts chosen by `against` and by the served model, a value a layer.

    `active`: how many of each one's choices were compared. `by_layer`: the mean share of the served model's choices
    that `against` makes too; `first`: the same of the first choice alone.
    """

    against: str
    active: int
    by_layer: list[float]
    first: list[float]


class RoutingAnalysis(BaseModel):
    """The answer to POST /v1/routing/analysis.

    `experts`: those of the mask, to which [expert] refers; `public`: which of them are the anchor's own. `active`: how
    many of them compute a token. `uniform`: specialisation if they were chosen evenly, active / experts.
    """

    model: str
    candor: AppliedMask
    experts: list[str]
    public: list[str]
    active: int
    uniform: float
    least: int
    tokens: int
    domains: dict[str, DomainRouting]
    co_activation: CoActivation
    vocabulary: Vocabulary
    saturation: Saturation | None
