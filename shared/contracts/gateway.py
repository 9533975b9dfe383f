"""The gateway's own resources: owners, the ledger, traces."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, model_validator

from shared.contracts.base import OwnerId
from shared.contracts.candor import AnswerTrace, AppliedOwners, LedgerEntry
from shared.contracts.model import ScoreOptions
from shared.contracts.routing import AnalysisInput, RoutingInput


class OwnerSource(BaseModel):
    """Where an owner's text comes from."""

    name: str
    origin: str
    licence: str


class OwnerView(BaseModel):
    """An owner of data, as the registry has it."""

    id: OwnerId
    name: str
    licence: str
    contact: str
    public: bool
    default: Literal["in", "out"]
    experts: list[str]
    corpora: list[str]
    sources: list[OwnerSource]


class OwnerList(BaseModel):
    """The answer to GET /v1/owners."""

    object: Literal["list"] = "list"
    data: list[OwnerView]


class LedgerRecord(BaseModel):
    """One answered request in the ledger; `created` is seconds since 1970 (UTC)."""

    id: str
    request_id: str
    created: int
    model: str
    owners: AppliedOwners
    entries: list[LedgerEntry]


class LedgerPage(BaseModel):
    """The answer to GET /v1/ledger, newest first."""

    object: Literal["list"] = "list"
    data: list[LedgerRecord]
    first_id: str | None
    last_id: str | None
    has_more: bool


class StoredTrace(BaseModel):
    """The answer to GET /v1/traces/{id}: the answer's text with its spans."""

    id: str
    text: str
    trace: AnswerTrace


class ServiceHealth(BaseModel):
    """One service as the gateway sees it."""

    ready: bool
    phase: str
    warnings: list[str] = []


class StackReadiness(BaseModel):
    """The answer to the gateway's GET /readyz: ready only when every service is."""

    ready: bool
    phase: str
    warnings: list[str] = []
    services: dict[str, ServiceHealth]


class ScoreTexts(ScoreOptions):
    """POST /v1/score of the gateway: texts or token ids, scored with the experts of these owners.

    No `owners` means every permitted owner whose default is in.
    """

    model: str = "candor"
    texts: list[str] | None = None
    tokens: list[list[int]] | None = None
    owners: list[OwnerId] | None = None

    @model_validator(mode="after")
    def _one_of(self) -> ScoreTexts:
        if (self.texts is None) == (self.tokens is None):
            raise ValueError("give either `texts` or `tokens`")
        return self


class RouteText(RoutingInput):
    """POST /v1/routing of the gateway: a text, routed among the experts of these owners.

    No `owners` means every permitted owner whose default is in.
    """

    owners: list[OwnerId] | None = None


class AnalyseTexts(AnalysisInput):
    """POST /v1/routing/analysis of the gateway: texts by domain, routed among the experts of these owners.

    No `owners` means every permitted owner whose default is in.
    """

    owners: list[OwnerId] | None = None
