"""The options of `rag`, the settings that they span, and the item of a question under a setting."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import product
from typing import Annotated, Any, Literal

from pydantic import Field

from services.evaluation.suites.base import Planned, ServedName
from services.evaluation.suites.drawing import item_seed
from services.evaluation.suites.sets.problem import Problem
from shared.contracts.base import Strict
from shared.contracts.candor import CandorOptions, RetrievalOptions, SamplingOptions
from shared.contracts.retrieval import Index, Rerank

Order = Literal["best_last", "best_first"]
Method = Literal["options", "letter", "answer"]

CLOSED_BOOK = "closed_book"

LETTER_ASKED = "\nAnswer with the letter of the right choice."
WORKED_ASKED = '\nWork it out step by step. Then write "The answer is" and the number.'


class RagOptions(Strict):
    """Which sets, under which settings, and how choices are told apart."""

    sets: Annotated[list[str], Field(min_length=1)] = ["arc-easy", "nq-open"]
    closed_book: bool = True
    indexes: list[Index] = ["hybrid"]
    ks: list[Annotated[int, Field(ge=1, le=20)]] = [1, 3]
    rewrite: Annotated[list[bool], Field(min_length=1)] = [False]
    rerank: Annotated[list[Rerank], Field(min_length=1)] = ["none"]
    orders: Annotated[
        list[Order],
        Field(min_length=1, description="Of passages before a question whose choices are scored as texts (`options`)."),
    ] = ["best_last"]
    choices: Annotated[
        Literal["options", "letter"],
        Field(description="options: the most probable text of a choice. letter: the letter in a generated answer."),
    ] = "options"
    datastore: ServedName = "main"
    budget: Annotated[int, Field(ge=1, le=4096)] = 56
    worked_budget: Annotated[int, Field(ge=1, le=4096, description="Of problems with a worked solution.")] = 256
    model: ServedName = "candor"


@dataclass(frozen=True)
class Setting:
    """One point of the grid."""

    index: Index
    k: int
    rewrite: bool
    rerank: Rerank
    order: Order

    @property
    def name(self) -> str:
        """Such as `hybrid@3` and, with what is not the default, `hybrid@3+rewrite+llm+best_first`."""
        extra = ["rewrite"] * self.rewrite + [self.rerank] * (self.rerank != "none")
        extra += [self.order] * (self.order != "best_last")
        return "+".join([f"{self.index}@{self.k}", *extra])


def settings(options: RagOptions) -> list[Setting]:
    """The grid. One passage has no order, so `best_first` is there from two on."""
    grid = product(options.indexes, sorted(set(options.ks)), options.rewrite, options.rerank, options.orders)
    return [one for values in dict.fromkeys(grid) if (one := Setting(*values)).order == "best_last" or one.k > 1]


def method(problem: Problem, options: RagOptions) -> Method:
    """How a question is answered."""
    return options.choices if problem.choices else "answer"


def item(problem: Problem, name: str, setting: Setting | None, options: RagOptions, seed: int) -> Planned:
    """The item; None is closed book."""
    how, sampling_seed = method(problem, options), item_seed(seed, problem.id)
    ask: dict[str, Any] = {"method": how, "document": problem.document, "worked": problem.worked}
    ask |= {"choices": problem.choices, "gold": problem.gold} if problem.choices else {}
    if how == "options":
        ask |= {"model": options.model, "search": _search(problem, setting, options)}
        ask |= {"order": setting.order if setting is not None else None}
    else:
        ask["body"] = _chat(problem, how, setting, options, sampling_seed)
    place = setting.name if setting is not None else CLOSED_BOOK
    return Planned(
        id=f"{problem.id}@{place}",
        question_id=problem.id,
        set=name,
        setting=place,
        question=problem.question,
        gold=problem.answers,
        seed=sampling_seed,
        ask=ask,
        cluster=problem.document,
    )


def _search(problem: Problem, setting: Setting | None, options: RagOptions) -> dict[str, Any] | None:
    if setting is None:
        return None
    grid = {key: value for key, value in asdict(setting).items() if key != "order"}
    return {"query": problem.question, "datastore": options.datastore, **grid}


def _chat(problem: Problem, how: Method, setting: Setting | None, options: RagOptions, seed: int) -> dict[str, Any]:
    """Greedy, one sample, as the gateway itself reads passages: the best last."""
    retrieval = False if setting is None else RetrievalOptions(
        datastore=options.datastore, index=setting.index, k=setting.k, rewrite=setting.rewrite, rerank=setting.rerank
    )  # fmt: skip
    sampling = SamplingOptions(
        mode="plain" if problem.worked else "no_thinking",
        samples=1,
        budget=options.worked_budget if problem.worked else options.budget,
    )
    extension = CandorOptions(retrieval=retrieval, sampling=sampling, trace=False, strict=True)
    asked = WORKED_ASKED if problem.worked else LETTER_ASKED if how == "letter" else ""
    return {
        "model": options.model,
        "messages": [{"role": "user", "content": problem.lettered() + asked}],
        "seed": seed,
        "temperature": 0.0,
        "candor": extension.model_dump(mode="json", exclude_unset=True),
    }
