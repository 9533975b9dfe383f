"""The evaluation service: suites, runs, their items and reports."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from shared.contracts.base import Strict
from shared.contracts.figure import Figure

RunStatus = Literal["queued", "running", "succeeded", "failed", "cancelled"]
ItemStatus = Literal["planned", "scored", "failed"]


class RunRequest(Strict):
    """POST /v1/evaluations. `options` are the suite's own; `limit` is in questions for each set."""

    suite: str
    limit: Annotated[int, Field(ge=1, le=100_000)] = 100
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    options: dict[str, Any] = {}


class RunProgress(BaseModel):
    """Items finished of items planned, and how many of them ended in an error."""

    done: int
    total: int
    failed: int


class Run(BaseModel):
    """One evaluation run; times are seconds since 1970 (UTC).

    `versions` says what was measured with what: code, suite, model, endpoint, and a hash of the questions used.
    `warnings` says what was asked for and is not part of the run, and why.
    """

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
    warnings: list[str] = []
    error: str | None = None


class RunList(BaseModel):
    """The answer to GET /v1/evaluations, newest first."""

    object: Literal["list"] = "list"
    data: list[Run]
    first_id: str | None
    last_id: str | None
    has_more: bool


class Item(BaseModel):
    """One question under one setting; `question_id` is the same under every setting.

    `details` is the suite's own: what it read from the answer beside the text. `latency_ms` is the time of the call
    that succeeded, without the tries before it. A planned item has no output yet.
    """

    id: str
    question_id: str
    status: ItemStatus
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
    details: dict[str, Any] = {}
    error: str | None


class ItemFinished(BaseModel):
    """The data of an `item` event: one item more is done. A `run` event carries the whole Run, on each new status."""

    item: str
    set: str
    setting: str
    scores: dict[str, float]
    error: str | None
    progress: RunProgress


class ItemPage(Strict):
    """Which items GET /v1/evaluations/{id}/items lists: those after an item's id, and of these values only."""

    after: str | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    status: ItemStatus | None = None
    set: str | None = None
    setting: str | None = None


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
    """One set under one setting: `items` were scored, `failed` ended in an error and have no score."""

    set: str
    setting: str
    items: int
    failed: int
    scores: dict[str, Estimate]


class Comparison(BaseModel):
    """Two settings over the same questions: mean(`setting`) - mean(`against`), with its paired bootstrap interval.

    `items` are the questions scored under both. `p` is two-sided, of `test`: McNemar's exact test for a metric of
    zeros and ones, otherwise a randomisation test that flips the signs of the paired differences.
    """

    set: str
    metric: str
    setting: str
    against: str
    items: int
    difference: Estimate
    test: Literal["mcnemar", "sign_flip"]
    p: float


class Report(BaseModel):
    """The answer to GET /v1/evaluations/{id}/report. Of an unfinished run, it tells of the items done so far."""

    run: Run
    metrics: list[str]
    cells: list[Cell]
    comparisons: list[Comparison]
    figures: list[Figure] = []
    """Plots as data, the suite's own."""
    summary: list[str] = []
    """The figures in plain words, a paragraph each; of suites that say any."""


class Suite(BaseModel):
    """A suite that can be run; `options` is the JSON schema of its options."""

    id: str
    version: str
    title: str
    description: str
    options: dict[str, Any]


class SuiteList(BaseModel):
    """The answer to GET /v1/suites."""

    object: Literal["list"] = "list"
    data: list[Suite]
