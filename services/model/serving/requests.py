"""From the wire's sampling parameters to the engine's."""

from __future__ import annotations

from collections.abc import Mapping

from services.model.engines.base import Sampling
from services.model.service import ModelService
from shared.contracts.model import ModelChatRequest, ModelCompletionRequest
from shared.contracts.openai import SamplingFields
from shared.http.errors import InvalidRequest

_LEAST_TEMPERATURE = 1e-5


def sampling(
    service: ModelService, body: ModelChatRequest | ModelCompletionRequest, max_tokens: int, top_logprobs: int
) -> Sampling:
    """How a request's tokens are to be chosen. Takes seconds when it is the first to avoid an owner's texts.

    Raises InvalidRequest for a bias on what is no token, NothingToProtect.
    """
    return Sampling(
        max_tokens=max_tokens,
        # so little that the logits divided by it would overflow: greedy, which it is in effect
        temperature=body.temperature if body.temperature >= _LEAST_TEMPERATURE else 0,
        top_p=body.top_p,
        seed=body.seed,
        stops=tuple(body.stops()),
        top_logprobs=top_logprobs,
        logit_bias=_bias(body.logit_bias or {}, service.engine.info.vocabulary),
        avoid=tuple(service.protected.of(owner) for owner in dict.fromkeys(body.candor.memfree)),
    )


def warnings(body: SamplingFields) -> list[str]:
    """What of a request was accepted without effect."""
    return [f"The field {name!r} is not known here and was ignored." for name in body.unknown()]


def _bias(bias: Mapping[str, float], vocabulary: int) -> dict[int, float]:
    for token in bias:
        # by its length first: thousands of digits are no int in Python
        if not (token.isascii() and token.isdecimal()) or len(token) > 9 or int(token) >= vocabulary:
            detail = f"logit_bias names token {token[:20]!r}; tokens are numbers below {vocabulary}."
            raise InvalidRequest(detail, field="logit_bias")
    return {int(token): value for token, value in bias.items()}
