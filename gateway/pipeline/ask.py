"""What the model service is asked for: the prompt with its prefill, and the numbers of the sampling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.pipeline.prompt import compose
from gateway.pipeline.retrieve import fitting
from gateway.pipeline.served import Served
from gateway.policy import Consent
from shared.contracts.candor import ChatRequest, ReadPassage, SamplingOptions
from shared.contracts.model import ExpertMask, ModelChatRequest
from shared.contracts.openai import Message

VOTING_TEMPERATURE = 0.3
"""Where the client sets none: samples that vote must differ, a little; a single one should be the likeliest answer."""
FINAL_TOKENS = 24
"""Tokens of a forced final answer."""
FINAL_CUE = "\n\nFinal answer:"
SHORT_END = "\n\n"
"""What ends an answer that was asked to be short: experts trained on running text would go on to other questions."""
MOST_STOPS = 16
"""As many as OpenAI's schema has here."""

_PASSED_ON = ("top_p", "seed", "logit_bias", "logprobs", "top_logprobs")


@dataclass(frozen=True)
class Ask:
    """One question to the model service. `prefill` begins the assistant's turn and is not part of the answer.

    `forced`: tokens for a final answer, should a sample be cut off without one; 0 where none is forced.
    """

    request: ModelChatRequest
    passages: tuple[ReadPassage, ...]
    prefill: str
    forced: int

    def final(self, so_far: str) -> ModelChatRequest:
        """The second, short call after a sample that was cut off: its text, and a cue for the answer."""
        turns = self.request.messages[:-1] if self.prefill else self.request.messages
        begun = Message(role="assistant", content=f"{self.prefill}{so_far}{FINAL_CUE}")
        return self.request.model_copy(
            update={
                "messages": [*turns, begun],
                "n": 1,
                "max_tokens": self.forced,
                "stop": ["\n", *self.request.stops()][:MOST_STOPS],
                "candor": self.request.candor.model_copy(update={"continue_final_message": True}),
            }
        )


def ask(
    chat: ChatRequest, sampling: SamplingOptions, passages: Sequence[ReadPassage], consent: Consent, served: Served
) -> Ask:
    """The question for the model as it is served, with the passages that fit its context."""
    thinkless = sampling.mode == "no_thinking"
    tags = served.tags if thinkless else None
    first, forced = _budgets(sampling, chat.token_limit(), forcing=thinkless)
    kept = fitting(passages, chat.messages, served.context - first - forced)
    direct = thinkless and tags is None
    messages = compose(chat.messages, kept, direct=direct)
    prefill = tags.closed() if tags else ""
    if prefill:
        messages.append(Message(role="assistant", content=prefill))
    temperature = VOTING_TEMPERATURE if sampling.samples > 1 else 0.0
    request = ModelChatRequest(
        model=served.name,
        messages=messages,
        n=sampling.samples,
        max_tokens=first,
        temperature=chat.temperature if "temperature" in chat.model_fields_set else temperature,
        stop=[*chat.stops(), *([SHORT_END] if direct else [])][:MOST_STOPS],
        candor=ExpertMask(experts=served.allowed(consent.experts), continue_final_message=bool(prefill)),
        **{name: getattr(chat, name) for name in _PASSED_ON if name in chat.model_fields_set},
    )
    return Ask(request, tuple(kept), prefill, forced)


def _budgets(sampling: SamplingOptions, limit: int | None, *, forcing: bool) -> tuple[int, int]:
    """Tokens of the first call and of a forced answer, together within the client's limit."""
    if not forcing:
        return sampling.budget, 0
    if limit is None:
        return sampling.budget, FINAL_TOKENS
    if limit < 2 * FINAL_TOKENS:
        return sampling.budget, 0
    return min(sampling.budget, limit - FINAL_TOKENS), FINAL_TOKENS
