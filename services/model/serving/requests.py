"""From the wire's messages and sampling parameters to the engine's tokens and its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from services.model.engines.base import Sampling
from services.model.service import ModelService
from shared.contracts.openai import Message, SamplingFields
from shared.http.errors import InvalidRequest


def sampling(service: ModelService, body: SamplingFields, max_tokens: int, top_logprobs: int) -> Sampling:
    """How a request's tokens are to be chosen. Raises InvalidRequest for a bias on what is no token."""
    return Sampling(
        max_tokens=max_tokens,
        temperature=body.temperature,
        top_p=body.top_p,
        seed=body.seed,
        stops=tuple(body.stops()),
        top_logprobs=top_logprobs,
        logit_bias=_bias(body.logit_bias or {}, service.engine.info.vocabulary),
    )


def warnings(body: SamplingFields) -> list[str]:
    """What of a request was accepted without effect."""
    return [f"The field {name!r} is not known here and was ignored." for name in body.unknown()]


def conversation(service: ModelService, messages: Sequence[Message], continued: bool, place: str = "") -> list[int]:
    """The tokens of messages in the model's chat template; `place` is where the request has what it continues.

    Raises InvalidRequest when the last message is to be continued and is not the assistant's, or for messages that
    the template refuses.
    """
    if continued and messages[-1].role != "assistant":
        detail = "continue_final_message continues an assistant's message, but the last one is not."
        raise InvalidRequest(detail, field=f"{place}continue_final_message")
    # templates know only the older name of the developer's role
    turns = [("system" if m.role == "developer" else m.role, m.text()) for m in messages]
    try:
        return service.tokenizer.conversation(turns, continue_last=continued)
    except ValueError as error:
        raise InvalidRequest(f"The messages cannot be put to the model: {error}.", field="messages") from error


def _bias(bias: Mapping[str, float], vocabulary: int) -> dict[int, float]:
    for token in bias:
        if not token.isdecimal() or int(token) >= vocabulary:
            detail = f"logit_bias names token {token!r}; tokens are numbers below {vocabulary}."
            raise InvalidRequest(detail, field="logit_bias")
    return {int(token): value for token, value in bias.items()}
