"""Passages judged by the language model: how much each helps with the query, from 0 to 5."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from services.retrieval.language.model import LanguageModel, Mask
from shared.contracts.openai import TopLogprob

JUDGE = """How much does the passage help to answer the query? Give a score from 0 (not at all) to 5 (it answers it).

Query: {query}

Passage: {passage}"""
BEGUN = "Score: "
"""What the answer begins with. With the space: models want one before the number, and then a digit is a token."""

HIGHEST = 5
LONGEST_QUERY = 2000
LONGEST_PASSAGE = 3000
"""Characters that the model reads: together they fit a context of 2048 tokens."""
CANDIDATES = 20
"""Tokens whose probabilities are asked for: as many as OpenAI's schema has."""


async def judge(query: str, passage: str, model: LanguageModel, mask: Mask) -> float | None:
    """The expected score of a passage; None when no digit is among the likeliest tokens.

    Raises ServiceError, ConsentNotApplied.
    """
    content = JUDGE.format(query=query[:LONGEST_QUERY], passage=passage[:LONGEST_PASSAGE])
    choice = await model.chat(mask, content, tokens=1, begun=BEGUN, candidates=CANDIDATES)
    if choice.logprobs is None or not choice.logprobs.content:
        return None
    return expected(choice.logprobs.content[0].top_logprobs)


def expected(candidates: Sequence[TopLogprob]) -> float | None:
    """Mean of the digits 0 to 5 under their probabilities, which are made to sum to 1; None without any of them."""
    digits = {candidate.token: candidate.logprob for candidate in reversed(candidates)}
    found = {score: digits[str(score)] for score in range(HIGHEST + 1) if str(score) in digits}
    if not found:
        return None
    top = max(found.values())
    weights = {score: math.exp(logprob - top) for score, logprob in found.items()}
    return sum(score * weight for score, weight in weights.items()) / sum(weights.values())


def blend(judged: Sequence[float | None], retrieved: Sequence[float]) -> NDArray[np.float64]:
    """(n,) scores: half the model's over 5, half the retriever's, the latter from 0 for the least to 1 for the highest
    (ReasonIR, Shao et al. 2025). A passage without a judgement has 0 for it; equal retriever's scores are all 1.
    """
    scores = np.asarray(retrieved, np.float64)
    span = np.ptp(scores) if len(scores) else 0.0
    normalised = (scores - scores.min()) / span if span > 0 else np.ones(len(scores))
    model = np.array([score or 0.0 for score in judged]) / HIGHEST
    blended: NDArray[np.float64] = 0.5 * model + 0.5 * normalised
    return blended
