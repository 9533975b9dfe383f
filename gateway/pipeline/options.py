"""What a request asks for: the model name's defaults, and over them what its `candor` object says."""

from __future__ import annotations

from typing import Any

from shared.contracts.candor import LONGEST_BUDGET, CandorOptions, ChatRequest, RetrievalOptions, TraceOptions
from shared.http.errors import CandorError

MODELS: dict[str, dict[str, Any]] = {
    "candor": {},
    "candor-rag": {"trace": False},
    "candor-trace": {"retrieval": False},
    "candor-plain": {
        "retrieval": False,
        "trace": False,
        "sampling": {"mode": "plain", "samples": 1, "aggregate": "first", "budget": 256},
    },
}
"""Aliases, for clients that can send no extension object."""


class UnknownModel(CandorError):
    """A request names a model that is not served."""

    status, code = 404, "model_not_found"

    def __init__(self, model: str) -> None:
        super().__init__(f"There is no model {model!r}. Served: {', '.join(MODELS)}.", field="model")


def options(request: ChatRequest) -> CandorOptions:
    """The options in force. Raises UnknownModel.

    OpenAI's token limit is the budget of a request that names none; an explicit budget is never widened by it.
    There are at least as many samples as choices.
    """
    said = request.candor.model_dump(exclude_unset=True)
    merged = CandorOptions.model_validate(_over(_defaults(request.model), said))
    sampling, limit = merged.sampling, request.token_limit()
    if limit is not None and ("budget" not in said.get("sampling", {}) or limit < sampling.budget):
        sampling = sampling.model_copy(update={"budget": min(limit, LONGEST_BUDGET)})
    sampling = sampling.model_copy(update={"samples": max(sampling.samples, request.n)})
    return merged.model_copy(update={"sampling": sampling})


def retrieval_of(chosen: CandorOptions) -> RetrievalOptions | None:
    """The options of retrieval; None when it is off."""
    return chosen.retrieval if chosen.retrieval is not False and chosen.retrieval.enabled else None


def trace_of(chosen: CandorOptions) -> TraceOptions | None:
    """The options of tracing; None when it is off."""
    return chosen.trace if chosen.trace is not False and chosen.trace.enabled else None


def require_model(name: str) -> None:
    """Raises UnknownModel if no model of this name is served."""
    _defaults(name)


def _defaults(model: str) -> dict[str, Any]:
    if model not in MODELS:
        raise UnknownModel(model)
    return MODELS[model]


def _over(defaults: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
    """`said` wins, field by field: `{"retrieval": {"k": 5}}` turns retrieval on where the alias has it off."""
    merged = {**defaults, **said}
    for name, value in said.items():
        if isinstance(value, dict) and isinstance(below := defaults.get(name), dict):
            merged[name] = _over(below, value)
    return merged
