"""The options of `rag-qa`, and the request that they make of a question under a setting."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from services.evaluation.suites.base import Planned, ServedName
from services.evaluation.suites.drawing import item_seed
from services.evaluation.suites.questions import GoldQuestion, Selection
from shared.contracts.base import Strict
from shared.contracts.candor import CandorOptions, OwnerChoice, RetrievalOptions, SamplingOptions
from shared.contracts.retrieval import Index

Setting = Literal["closed_book", "rag", "rag_without_owner"]

DEFAULT_SETS = ["squad", "coqa-cnn", "coqa-gutenberg", "medmcqa", "sciq"]
"""A set of each owner that has extractive questions: encyclopedia, news, literature, medicine, textbooks."""


class RagQaOptions(Strict):
    """What is asked, under which settings, and how the endpoint is to answer."""

    sets: Annotated[list[str], Field(min_length=1)] = DEFAULT_SETS
    settings: Annotated[list[Setting], Field(min_length=1)] = ["closed_book", "rag", "rag_without_owner"]
    questions: Selection = "extractive"
    model: ServedName = "candor"
    datastore: ServedName = "main"
    index: Index = "hybrid"
    k: Annotated[int, Field(ge=1, le=20)] = RetrievalOptions().k
    samples: Annotated[int, Field(ge=1, le=64)] = 1
    budget: Annotated[int, Field(ge=1, le=4096)] = 56
    aggregate: Literal["confidence", "majority", "first"] = "confidence"
    temperature: Annotated[
        float | None, Field(ge=0, le=2, description="Default: 0 with one sample, else the endpoint's own.")
    ] = None
    trace: Annotated[bool, Field(description="Trace each answer too: slower, and no score needs it.")] = False


def plan_item(question: GoldQuestion, setting: Setting, options: RagQaOptions, seed: int) -> Planned:
    """The item with the whole request: what is asked is settled here, whatever becomes of the files afterwards."""
    sampling_seed = item_seed(seed, question.id)
    body: dict[str, Any] = {
        "model": options.model,
        "messages": [{"role": "user", "content": question.question}],
        "seed": sampling_seed,
        "candor": _extension(question, setting, options).model_dump(mode="json", exclude_unset=True),
    }
    temperature = 0.0 if options.temperature is None and options.samples == 1 else options.temperature
    if temperature is not None:
        body["temperature"] = temperature
    return Planned(
        id=f"{question.id}@{setting}",
        question_id=question.id,
        set=question.set,
        setting=setting,
        question=question.question,
        gold=question.answers,
        seed=sampling_seed,
        ask={"body": body, "document": question.document, "owner": question.owner},
        cluster=question.document,
    )


def _extension(question: GoldQuestion, setting: Setting, options: RagQaOptions) -> CandorOptions:
    """The `candor` object. Strict: an answer without its passages would be scored as if it had read them."""
    retrieval = RetrievalOptions(datastore=options.datastore, index=options.index, k=options.k)
    sampling = SamplingOptions(samples=options.samples, budget=options.budget, aggregate=options.aggregate)
    extension = CandorOptions(retrieval=retrieval, sampling=sampling, strict=True)
    if setting == "closed_book":
        extension.retrieval = False
    if setting == "rag_without_owner":
        extension.owners = OwnerChoice(exclude=[question.owner])
    if not options.trace:
        extension.trace = False
    return extension
