"""A search with the language model before it and after it: rewrite, search, rerank."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from itertools import islice
from time import perf_counter
from typing import Any, TypeVar

import numpy as np

from services.retrieval.errors import NoLanguageModel
from services.retrieval.language.judging import blend, judge
from services.retrieval.language.model import LanguageModel
from services.retrieval.language.rewriting import Rewriter
from services.retrieval.rerank import by_judgement
from services.retrieval.search import LAST
from shared.clients.base import ServiceError
from shared.contracts.rerank import LLM, RerankRequest, RerankResponse
from shared.contracts.retrieval import JUDGED, FailedAssistance, Passage, SearchRequest, SearchResponse

Search = Callable[[SearchRequest], Awaitable[SearchResponse]]
T = TypeVar("T")


class Assistant:
    """Puts the model around a search. A stage that the model fails is left out, and the answer says so."""

    def __init__(self, model: LanguageModel) -> None:
        self._model = model
        self._rewriter = Rewriter(model)

    async def search(self, request: SearchRequest, owners: Sequence[str], search: Search) -> SearchResponse:
        """The request's answer. `search` answers one without the model; `owners` are those it is for: their experts
        alone compute, and the public one.

        Raises what `search` does, and ConsentNotApplied.
        """
        failed: list[FailedAssistance] = []
        queries = request.texts()
        rewrites, rewritten, reranked = None, 0.0, 0.0
        if request.rewrite:
            began = perf_counter()
            rewrites = await _or_failed(self._rewrites(queries, owners), failed, "rewrite")
            rewritten = _since(began)
        plain = request.model_copy(update={"rewrite": False, "rerank": "none"})
        if rewrites is not None:
            plain = plain.model_copy(update={"query": None, "queries": rewrites})
        if request.rerank == "llm":
            most = max(request.k, min(JUDGED, request.candidates))
            plain = plain.model_copy(update={"k": most, "min_score": None})
        response = await search(plain)
        if request.rerank == "llm":
            began = perf_counter()
            judged = await _or_failed(self._judged(queries, response, owners), failed, "rerank")
            if judged is not None:
                response.results = judged
            if any(passage.scores.llm is None for passages in judged or [] for passage in passages[:JUDGED]):
                response.warnings.append("rerank: the model gave some passages no score from 0 to 5; they count as 0")
            response.results = [_cut(request, passages) for passages in response.results]
            reranked = _since(began)
        response.rewrites = rewrites
        response.timings.rewrite, response.timings.rerank = rewritten, reranked
        response.timings.total += rewritten + reranked
        response.failed = failed
        response.warnings += [f"{stage.stage}: {stage.error}" for stage in failed]
        return response

    async def rerank(self, request: RerankRequest, tokens: int) -> RerankResponse:
        """The request's documents, which have so many tokens, by the model's judgement: they are no owner's, and the
        public expert computes alone.

        Raises NoLanguageModel, ConsentNotApplied.
        """
        try:
            mask = await self._model.mask([])
            judged = await _all([judge(request.query, text, self._model, mask) for text in request.texts()])
        except ServiceError as error:
            raise NoLanguageModel(str(error)) from error
        return by_judgement(request, judged, LLM, tokens)

    async def close(self) -> None:
        """Close the connections to the model."""
        await self._model.close()

    async def _rewrites(self, queries: Sequence[str], owners: Sequence[str]) -> list[str]:
        mask = await self._model.mask(owners)
        return await _all([self._rewriter.rewrite(query, mask) for query in queries])

    async def _judged(
        self, queries: Sequence[str], response: SearchResponse, owners: Sequence[str]
    ) -> list[list[Passage]]:
        mask = await self._model.mask(owners)
        pairs = [
            (query, passage.text)
            for query, passages in zip(queries, response.results, strict=True)
            for passage in passages[:JUDGED]
        ]
        judged = iter(await _all([judge(query, text, self._model, mask) for query, text in pairs]))
        return [
            _ordered(passages, list(islice(judged, len(passages[:JUDGED]))), response.index)
            for passages in response.results
        ]


def _ordered(passages: Sequence[Passage], judged: Sequence[float | None], index: str) -> list[Passage]:
    """The judged passages by both scores, and behind them those that were not judged, as they were."""
    retrieved = [getattr(passage.scores, LAST[index]) for passage in passages[: len(judged)]]
    blended = blend(judged, retrieved)
    for passage, score, final in zip(passages, judged, blended, strict=False):
        passage.scores.llm, passage.scores.rerank = score, float(final)
    order = np.argsort(-blended, kind="stable")
    return [*(passages[place] for place in order), *passages[len(judged) :]]


def _cut(request: SearchRequest, passages: Sequence[Passage]) -> list[Passage]:
    """The k first, without those whose score, the one that orders them, is below the least wanted."""
    least = request.min_score
    if least is not None:
        passages = [passage for passage in passages if _final(passage, request.index) >= least]
    return [*passages[: request.k]]


def _final(passage: Passage, index: str) -> float:
    score = passage.scores.rerank
    return float(getattr(passage.scores, LAST[index]) if score is None else score)


async def _all(works: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Their results. When one fails, or who asked is gone, the model is not asked for the rest."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


async def _or_failed(work: Awaitable[T], failed: list[FailedAssistance], stage: str) -> T | None:
    try:
        return await work
    except ServiceError as error:
        failed.append(FailedAssistance.model_validate({"stage": stage, "error": str(error)}))
        return None


def _since(began: float) -> float:
    return 1000 * (perf_counter() - began)
