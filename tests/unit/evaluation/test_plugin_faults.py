"""Suites of others: one that is broken is left out or refused by name, whatever it does, and the others stay."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from services.evaluation.endpoints import Endpoints
from services.evaluation.errors import BadOption, BadPlan, MissingData, SuiteFailed
from services.evaluation.service import Evaluations
from services.evaluation.settings import EvaluationSettings
from services.evaluation.store.database import open_database
from services.evaluation.store.runs import Store
from services.evaluation.suites.base import Plan, Planned
from services.evaluation.suites.rag.suite import Rag
from services.evaluation.suites.rag_qa import RagQa
from services.evaluation.suites.registry import GROUP, load
from services.evaluation.suites.thinking import Thinking
from shared.contracts.evaluation import Run, RunRequest

ITEM = Planned("q@rag", "q", "set", "rag", "Who?", ["Anna"], 0, {})


class Queue:
    """Jobs that do nothing."""

    def queue(self, run: str) -> None: ...


class Planning(RagQa):
    """A suite that plans what a test says."""

    id = "planning"

    def __init__(self, made: Callable[[], Any]) -> None:
        self.made = made

    def plan(self, options: Any, limit: int, seed: int, home: Path) -> Any:
        return self.made()


def service(folder: Path, *suites: Any) -> Evaluations:
    store = Store(open_database(make_url(f"sqlite:///{folder / 'runs.db'}")))
    jobs: Any = Queue()
    return Evaluations(store, jobs, {one.id: one for one in suites}, Endpoints(EvaluationSettings()), folder)


def created(folder: Path, suite: Any, **options: Any) -> Run:
    return asyncio.run(service(folder, suite).create(RunRequest(suite=suite.id, options=options), None))


def leaving(*_: Any) -> Any:
    sys.exit("goodbye")


def raising(fault: BaseException) -> Callable[..., Any]:
    def part(*_: Any) -> Any:
        raise fault

    return part


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (leaving, "The suite 'planning' failed in plan: SystemExit: goodbye"),
        (raising(KeyboardInterrupt()), "The suite 'planning' failed in plan: KeyboardInterrupt"),
        (raising(StopIteration()), "The suite 'planning' failed in plan: StopIteration"),
        (raising(ValueError("half \ud800")), "failed in plan: ValueError: half \ufffd"),
        (lambda: None, "it is no Plan, but of the type NoneType"),
        (lambda: Plan(5), "items: Input should be a valid list"),  # type: ignore[arg-type]
        (lambda: Plan([{}]), "items.0.id"),  # type: ignore[list-item]
        (lambda: Plan([replace(ITEM, id="")]), "items.0.id: String should have at least 1 character"),
        (lambda: Plan([replace(ITEM, question_id="q" * 501)]), "items.0.question_id: String should have at most 500"),
        (lambda: Plan([replace(ITEM, id="a\0"), replace(ITEM, id="a\ud800", question_id="r")]), "two items of the id"),
        (lambda: Plan([replace(ITEM, gold="Anna")]), "items.0.gold"),  # type: ignore[arg-type]
        (lambda: Plan([replace(ITEM, gold=[1])]), "items.0.gold.0"),  # type: ignore[list-item]
        (lambda: Plan([replace(ITEM, seed=True)]), "items.0.seed"),
        (lambda: Plan([replace(ITEM, seed=2**63)]), "items.0.seed"),
        (lambda: Plan([replace(ITEM, ask={"when": {1}})]), "items.0.ask: no JSON"),
        (lambda: Plan([replace(ITEM, cluster=7)]), "items.0.cluster"),  # type: ignore[arg-type]
        (lambda: Plan([ITEM], {"model": None}), "versions.model"),  # type: ignore[dict-item]
        (lambda: Plan([ITEM], {}, "beware"), "warnings"),  # type: ignore[arg-type]
    ],
)
def test_a_plan_that_is_none_is_refused_and_says_whose_it_is(
    tmp_path: Path, made: Callable[[], Any], says: str
) -> None:
    with pytest.raises((SuiteFailed, BadPlan)) as refused:
        created(tmp_path, Planning(made))
    assert says in refused.value.detail
    assert "'planning'" in refused.value.detail


def test_what_a_plan_is_meant_to_raise_and_to_be_goes_through(tmp_path: Path) -> None:
    with pytest.raises(MissingData):
        created(tmp_path, Planning(raising(MissingData("There is none."))))
    item: dict[str, Any] = {"gold": ("Anna",), "ask": {1: (2, 3)}}
    asked: Any = Plan(iter([replace(ITEM, **item)]))  # type: ignore[arg-type]
    assert created(tmp_path, Planning(lambda: asked)).progress.total == 1


class Options:
    """No model at all."""

    @staticmethod
    def model_json_schema() -> Any:
        sys.exit("no schema today")


def test_a_suite_that_cannot_be_listed_is_left_out_of_the_list_and_the_others_stay(tmp_path: Path) -> None:
    broken: Any = RagQa()
    broken.id, broken.options = "broken", Options
    assert [suite.id for suite in service(tmp_path, broken, RagQa()).suites()] == ["rag-qa"]


def test_options_that_fail_to_be_read_are_a_fault_of_the_suite(tmp_path: Path) -> None:
    broken: Any = RagQa()
    broken.options = Options
    with pytest.raises(SuiteFailed, match="The suite 'rag-qa' failed in options: AttributeError"):
        created(tmp_path, broken)


@pytest.mark.parametrize(
    ("suite", "options", "field"),
    [
        (RagQa(), {"k": True}, "k"),
        (RagQa(), {"k": "3"}, "k"),
        (RagQa(), {"trace": 1}, "trace"),
        (RagQa(), {"temperature": True}, "temperature"),
        (RagQa(), {"model": ""}, "model"),
        (RagQa(), {"model": "m" * 201}, "model"),
        (RagQa(), {"datastore": ""}, "datastore"),
        (RagQa(), {"sets": ["s" * 10_001]}, "sets"),
        (Rag(), {"ks": [1, True]}, "ks.1"),
        (Rag(), {"datastore": "d" * 1_000_000}, "datastore"),
        (Thinking(), {"model": ""}, "model"),
        (Thinking(), {"instruction": "Think. " * 10_000}, "instruction"),
    ],
)
def test_an_option_of_another_kind_or_length_is_refused_by_name(
    tmp_path: Path, suite: Any, options: dict[str, Any], field: str
) -> None:
    with pytest.raises(BadOption) as refused:
        created(tmp_path, suite, **options)
    assert refused.value.field == f"options.{field}"
    assert len(refused.value.detail) < 200


MODULE = """
import sys
from services.evaluation.suites.rag_qa import RagQa

class Leaving(RagQa):
    def __init__(self): sys.exit("goodbye")

class Interrupting(RagQa):
    @property
    def id(self): raise KeyboardInterrupt

class Nameless(RagQa):
    id = ""

class Unpaired(RagQa):
    id, contrasts = "unpaired", [("rag",)]

class Uncallable(RagQa):
    id, score = "uncallable", None

class Well(RagQa):
    id = "well"
"""


def test_a_suite_that_cannot_be_loaded_is_left_out_and_the_others_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "of_a_plugin.py").write_text(MODULE)
    (tmp_path / "of_an_exit.py").write_text("import sys; sys.exit('goodbye')")
    (tmp_path / "of_bad_options.py").write_text(
        "from pydantic import BaseModel\nclass Suite:\n  class options(BaseModel):\n    k: int = no_such_name\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    names = ("Leaving", "Interrupting", "Nameless", "Unpaired", "Uncallable", "Well")
    values = [f"of_a_plugin:{name}" for name in names] + ["of_an_exit:Suite", "of_bad_options:Suite"]
    found = load([RagQa()], [EntryPoint(str(at), value, GROUP) for at, value in enumerate(values)])
    assert [*found] == ["rag-qa", "well"]
