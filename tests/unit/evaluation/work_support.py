"""A suite whose parts are what a test makes them, and its run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from services.evaluation.settings import EvaluationSettings
from services.evaluation.store.runs import Store
from services.evaluation.suites.base import Answer, Plan, Planned
from services.evaluation.suites.rag_request import RagQaOptions
from services.evaluation.suites.registry import SUITES
from services.evaluation.work import Work
from shared.contracts.evaluation import Run, RunRequest
from tests.contract.gateway_support import closed_port

WELL = Answer("Who?", "Anna", 1, 2.0, {})


class Faulty:
    """A suite of ten items whose parts are what a test makes them: `answer` and `score` those of the fourth."""

    id, version, title, description = "faulty", "1", "Faulty", "Of a test."
    options, contrasts = RagQaOptions, ()
    compared: Sequence[str] = ("right",)
    metrics: Mapping[str, Any] = {"right": "proportion"}
    serves: Mapping[str, str] = {"endpoint": "here", "weights": "one"}

    def __init__(self, **parts: Callable[..., Any]) -> None:
        self.parts, self.asked = parts, list[str]()

    def plan(self, options: Any, limit: int, seed: int, home: Path) -> Plan:
        return Plan([Planned(f"q{n}@rag", f"q{n}", "set", "rag", "Who?", ["Anna"], n, {}) for n in range(10)])

    async def describe(self, endpoint: Any, versions: Any) -> Any:
        return self.parts.get("describe", lambda: self.serves)()

    async def answer(self, planned: Planned, endpoint: Any) -> Any:
        self.asked.append(planned.id)
        return await self.parts["answer"]() if planned.id == "q3@rag" and "answer" in self.parts else WELL

    def score(self, planned: Planned, answer: Answer) -> Any:
        if planned.id == "q3@rag" and "score" in self.parts:
            return self.parts["score"]()
        return {"right": 1.0}

    def figures(self, items: Any) -> Any:
        return self.parts.get("figures", list)()

    def summary(self, items: Any) -> Any:
        return self.parts.get("summary", list)()

    def contrasts_among(self, settings: Any) -> Any:
        return self.parts.get("contrasts", list)()


def carried(
    store: Store,
    suite: Any,
    monkeypatch: pytest.MonkeyPatch,
    *,
    patience: float = 0.0,
    url: str | None = None,
    concurrency: int = 2,
) -> Run:
    """The run of a suite, carried out from where it is."""
    monkeypatch.setitem(SUITES, "faulty", suite)
    if not store.runs(after=None, limit=1):
        plan = suite.plan(None, 10, 0, Path())
        store.create("run", RunRequest(suite="faulty"), plan, {"suite": "faulty/1"}, None)
    settings = EvaluationSettings(gateway_url=url or closed_port(), patience=patience, concurrency=concurrency)
    asyncio.run(asyncio.wait_for(Work(settings, store).carry_out("run"), 20))
    return store.run("run")
