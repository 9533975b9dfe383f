"""Log-probabilities in OpenAI's two shapes: chat's list of tokens, and the older parallel lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from services.model.engines.base import Token, TopTokens
from shared.contracts.openai import ChoiceLogprobs, CompletionLogprobs, TokenLogprob, TopLogprob

if TYPE_CHECKING:
    from services.model.engines.tokenizer import Tokenizer


def for_chat(tokenizer: Tokenizer, tokens: Sequence[Token]) -> ChoiceLogprobs:
    """The tokens of a chat answer, or of a chunk of it."""
    return ChoiceLogprobs(
        content=[
            TokenLogprob(
                **_candidate(tokenizer, token.id, token.logprob),
                top_logprobs=[TopLogprob(**_candidate(tokenizer, *candidate)) for candidate in token.top],
            )
            for token in tokens
        ]
    )


def for_completion(tokenizer: Tokenizer, tokens: Sequence[Token], offset: int = 0) -> CompletionLogprobs:
    """The tokens of a completion, or of a chunk of it; `offset` is where its text begins in the whole."""
    return CompletionLogprobs(
        tokens=[tokenizer.name(token.id) for token in tokens],
        token_logprobs=[token.logprob for token in tokens],
        top_logprobs=[by_name(tokenizer, token.id, token.logprob, token.top) for token in tokens],
        text_offset=[offset + token.start for token in tokens],
    )


def by_name(tokenizer: Tokenizer, token: int, logprob: float, candidates: TopTokens) -> dict[str, float]:
    """The candidates at a place as the older shape has them; the token itself always is one."""
    named: dict[str, float] = {}
    for one, its in [*candidates, (token, logprob)]:
        # the first, which is the more probable, if two tokens have one name
        named.setdefault(tokenizer.name(one), its)
    return named


def _candidate(tokenizer: Tokenizer, token: int, logprob: float) -> dict[str, object]:
    return {"token": tokenizer.name(token), "logprob": logprob, "bytes": list(tokenizer.bytes_of(token))}
