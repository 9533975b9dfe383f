"""The evaluation service: suites, runs, their items and reports."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from shared.contracts.base import Strict

RunStatus = Literal["queued", "running", "succeeded", "failed", "cancelled"]


class RunRequest(Strict):
    """POST /v1/evaluations. `options` are the suite's own; `limit` is in questions for each set."""

    suite: str
    limit: Annotated[int, Field(ge=1, le=100_000)] = 100
    seed: int = 0
    options: dict[str, Any] = {}


class RunProgress(BaseModel):
    """Items finished of items planned, and how many of them ended in an error."""

    done: int
    total: int
    failed: int


class Run(BaseModel):
    """One evaluation run; times are seconds since 1970 (UTC)."""

    id: str
    object: Literal["evaluation"] = "evaluation"
    suite: str
    status: RunStatus
    created: int
    finished: int | None
    limit: int
    seed: int
    options: dict[str, Any]
    versions: dict[str, str]
    progress: RunProgress
    error: str | None = None


class RunList(BaseModel):
    """The answer to GET /v1/evaluations, newest first."""

    object: Literal["list"] = "list"
    data: list[Run]
    first_id: str | None
    last_id: str | None
    has_more: bool


class Item(BaseModel):
    """One question under one setting."""

    id: str
    setting: str
    set: str
    question: str
    gold: list[str]
    prompt: str | None
    output: str | None
    scores: dict[str, float]
    tokens: int | None
    latency_ms: float | None
    seed: int
    error: str | None


class ItemList(BaseModel):
    """The answer to GET /v1/evaluations/{id}/items, in order."""

    object: Literal["list"] = "list"
    data: list[Item]
    first_id: str | None
    last_id: str | None
    has_more: bool


class Estimate(BaseModel):
    """A mean with its 95% interval; Wilson's for a proportion, bootstrap's otherwise."""

    mean: float
    low: float
    high: float


class Cell(BaseModel):
    """One set under one setting."""

    set: str
    setting: str
    items: int
    failed: int
    scores: dict[str, Estimate]


class Comparison(BaseModel):
    """Two settings over the same items: the difference of means with its interval, and McNemar's exact p."""

    set: str
    metric: str
    setting: str
    against: str
    items: int
    difference: Estimate
    p: float


class Report(BaseModel):
    """The answer to GET /v1/evaluations/{id}/report."""

    run: Run
    cells: list[Cell]
    comparisons: list[Comparison]


class Suite(BaseModel):
    """A suite that can be run."""

    id: str
    title: str
    description: str
    options: dict[str, Any]


class SuiteList(BaseModel):
    """The answer to GET /v1/suites."""

    object: Literal["list"] = "list"
    data: list[Suite]
