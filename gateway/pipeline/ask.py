"""What the model service is asked for: the prompt with its prefill, and the numbers of the sampling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.pipeline.prompt import compose
from gateway.pipeline.retrieve import fitting
from gateway.pipeline.sample import Draft
from gateway.pipeline.served import Served
from gateway.pipeline.thinking import Splitter, ThinkingTags
from gateway.policy import Consent
from shared.contracts.candor import ChatRequest, ReadPassage, SamplingOptions
from shared.contracts.model import ExpertMask, ModelChatRequest
from shared.contracts.openai import Message
from shared.http.errors import InvalidRequest

VOTING_TEMPERATURE = 0.3
"""Where the client sets none: samples that vote must differ, a little; a single one should be the likeliest answer."""
FINAL_TOKENS = 24
"""Tokens of a forced final answer, at most."""
FINAL_CUE = "\n\nFinal answer:"
SHORT_END = "\n\n"
"""What ends an answer that was asked to be short: experts trained on running text would go on to other questions."""
MOST_STOPS = 16
"""As many as OpenAI's schema has here."""

_PASSED_ON = ("top_p", "seed", "logit_bias", "logprobs", "top_logprobs")


@dataclass(frozen=True)
class Ask:
    """One question to the model service. `prefill` begins the assistant's turn and is not part of the answer.

    `forced`: tokens for a final answer, should a sample be cut off without one; 0 where none is forced. `tags`: those
    of the model's thinking; `thinking`: whether a sample begins within it.
    """

    request: ModelChatRequest
    passages: tuple[ReadPassage, ...]
    prefill: str
    forced: int
    tags: ThinkingTags | None = None
    thinking: bool = False

    @property
    def budget(self) -> int:
        """Tokens of a sample at most, over both calls."""
        return (self.request.max_tokens or 0) + self.forced

    def splitter(self) -> Splitter:
        """What parts a sample's text into its thinking and its answer."""
        return Splitter(self.tags, thinking=self.thinking)

    def cue(self, draft: Draft) -> str:
        """What a sample that was cut off is given so that it answers: the end of its thinking first, if it still is."""
        if draft.thinking and self.tags is not None:
            return self.tags.closing + FINAL_CUE.lstrip()
        return FINAL_CUE

    def final(self, draft: Draft) -> ModelChatRequest:
        """The second, short call after a sample that was cut off: its text, and a cue for the answer."""
        turns = self.request.messages[:-1] if self.prefill else self.request.messages
        begun = Message(role="assistant", content=f"{self.prefill}{draft.raw}{self.cue(draft)}")
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
    """The question for the model as it is served, with the passages that fit its context.

    Raises InvalidRequest when the model is to think and is of no family that does.
    """
    tags = served.tags
    if sampling.mode == "thinking" and tags is None:
        detail = (
            f"The served model, {served.name!r}, does not think, or not in tags that are known here: take the mode "
            "'no_thinking' or 'plain', or name its tags in the gateway's CANDOR_GATEWAY_THINKING."
        )
        raise InvalidRequest(detail, field="candor.sampling.mode")
    first, forced = _budgets(sampling)
    kept = fitting(passages, chat.messages, served.context - first - forced)
    direct = sampling.mode == "no_thinking" and tags is None
    messages = compose(chat.messages, kept, direct=direct)
    prefill = _prefill(sampling, tags)
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
        candor=ExpertMask(
            experts=served.allowed(consent),
            continue_final_message=bool(prefill),
            control=tags.control if tags and prefill else [],
        ),
        **{name: getattr(chat, name) for name in _PASSED_ON if name in chat.model_fields_set},
    )
    begun = sampling.mode == "thinking" or (sampling.mode == "plain" and served.opens)
    return Ask(request, tuple(kept), prefill, forced, tags, begun)


def _prefill(sampling: SamplingOptions, tags: ThinkingTags | None) -> str:
    if tags is None or sampling.mode == "plain":
        return ""
    return tags.opening if sampling.mode == "thinking" else tags.closed()


def _budgets(sampling: SamplingOptions) -> tuple[int, int]:
    """Tokens of the first call and of a forced answer, together the budget, so that modes compare at equal cost.

    Thinking that is cut off has said no answer at all, so that one is forced however small the budget.
    """
    budget = sampling.budget
    if sampling.mode == "thinking":
        forced = min(FINAL_TOKENS, budget // 2)
    elif sampling.mode == "no_thinking" and budget >= 2 * FINAL_TOKENS:
        forced = FINAL_TOKENS
    else:
        forced = 0
    return budget - forced, forced
