"""The evaluation service: suites, runs, their items and reports."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from shared.contracts.base import Kept, Strict, Text
from shared.contracts.figure import Figure

RunStatus = Literal["queued", "running", "succeeded", "failed", "cancelled"]
ItemStatus = Literal["planned", "scored", "failed"]
Priority = Literal["low", "normal", "high"]
Test = Literal["mcnemar", "cluster_flip", "sign_flip", "rank_swap", "tpr_swap"]
ReportFormat = Literal["json", "markdown", "html"]


STACK = "stack"
"""The name of the endpoint that is the stack itself."""


class RunRequest(Strict):
    """POST /v1/evaluations. `options` are the suite's own; `limit` is in questions for each set.

    `endpoint`: who is asked: the stack itself, or one of those that the operator has named in
    CANDOR_EVALUATION_ENDPOINTS.

    Of the runs that wait, those of a higher `priority` begin first, and the oldest of them.
    """

    suite: Text
    limit: Annotated[int, Field(ge=1, le=100_000, strict=True)] = 100
    seed: Annotated[int, Field(ge=0, lt=2**63, strict=True)] = 0
    options: Kept = {}
    priority: Priority = "normal"
    endpoint: Text = STACK


class RescoreRequest(Strict):
    """POST /v1/evaluations/{id}/rescore: score the answers of a run that has ended again, as a new run.

    By its own suite as it is now, or by another one that can read the answers; `metrics` are added to the suite's.
    """

    suite: Text | None = None
    metrics: list[Text] = []
    priority: Priority = "normal"


class RunProgress(BaseModel):
    """Items finished of items planned, and how many of them ended in an error."""

    done: int
    total: int
    failed: int


class Run(BaseModel):
    """One evaluation run; times are seconds since 1970 (UTC).

    `versions` says what was measured with what: code, suite, model, endpoint, and hashes of the questions used and of
    the requests made of them. `warnings` says what was asked for and is not part of the run, and why. The answers
    are those of the run `rescored_from`, if there is one; `metrics` are scored beside the suite's own.
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
    priority: Priority = "normal"
    endpoint: str = STACK
    rescored_from: str | None = None
    metrics: list[str] = []


class RunList(BaseModel):
    """The answer to GET /v1/evaluations, newest first."""

    object: Literal["list"] = "list"
    data: list[Run]
    first_id: str | None
    last_id: str | None
    has_more: bool


class Item(BaseModel):
    """One question under one setting; `question_id` is the same under every setting.

    Items of one `cluster` (questions on one document, say) are not independent; intervals and tests allow for that.

    `details` is the suite's own: what it read from the answer beside the text. `latency_ms` is the time of the call
    that succeeded, without the tries before it. A planned item has no output yet.
    """

    id: str
    question_id: str
    cluster: str
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
    """A mean with its 95% interval, over clusters; Wilson's for a proportion, bootstrap's otherwise.

    Of a metric over two groups of items, `mean` is the area under the ROC curve, or the share found at so many false
    alarms.
    """

    mean: float
    low: float
    high: float


class Cell(BaseModel):
    """One set under one setting: `items` were scored, `failed` ended in an error and have no score.

    `failure` is the share that failed, `truncated` that of the scored answers which were cut off by the token budget,
    `unparsed` that in which no answer could be found; the last two only of suites that tell. `tokens` is the mean
    of an answer, latencies are percentiles, in milliseconds.
    """

    set: str
    setting: str
    items: int
    failed: int
    clusters: int
    failure: Estimate
    truncated: Estimate | None = None
    unparsed: Estimate | None = None
    tokens: float | None = None
    latency_p50: float | None = None
    latency_p95: float | None = None
    scores: dict[str, Estimate]


class Paired(BaseModel):
    """The same questions twice: the difference with its paired bootstrap interval over clusters, and a test.

    `items` are the questions scored both times, in so many `clusters`. `p` is two-sided, of `test`: McNemar's exact
    test for a metric of zeros and ones (`cluster_flip`: of clusters that are flipped whole, over all flips);
    `rank_swap` for an area under the ROC curve, which swaps the ranks of each cluster's items, and `tpr_swap`, by the
    same swaps, for the share found at so many false alarms; otherwise a randomisation test that flips the signs of the
    differences of each cluster. `p_holm` is p after Holm's correction for all comparisons of the report.
    """

    items: int
    clusters: int
    difference: Estimate
    test: Test
    p: float
    p_holm: float


class Comparison(Paired):
    """Two settings of a run over the same questions: mean(`setting`) - mean(`against`)."""

    set: str
    metric: str
    setting: str
    against: str


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
    warnings: list[str] = []
    """What keeps its intervals from being trusted."""


class RunDifference(Paired):
    """Two runs over the same questions of a set: mean(`run`) - mean(`against`), each under its setting."""

    set: str
    metric: str
    run: str
    setting: str
    against: str
    against_setting: str


class Pairing(BaseModel):
    """How the items of two runs were paired: `paired` were scored in both.

    `unpaired` were scored in one of them only. `different` have the same question id, but another text or gold
    answer: they are left out, and so are they counted.
    """

    set: str
    run: str
    setting: str
    against: str
    against_setting: str
    paired: int
    unpaired: int
    different: int


class RunCells(BaseModel):
    """The scores of one of the runs compared."""

    run: str
    cells: list[Cell]


class RunsCompared(BaseModel):
    """The answer to GET /v1/evaluations/compare: every run against the first.

    `differing` has what the runs differ in, of versions, options, seed and limit: the value of each run, in order.
    """

    runs: list[Run]
    metrics: list[str]
    differing: dict[str, list[Any]]
    cells: list[RunCells]
    pairings: list[Pairing]
    differences: list[RunDifference]
    warnings: list[str] = []


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
