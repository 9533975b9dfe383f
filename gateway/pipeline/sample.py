"""One of the parallel samples, as the model service returned it, and joined with its forced final answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.policy import Consent, ConsentNotApplied
from shared.contracts.model import AppliedMask, SampleDetail
from shared.contracts.openai import ChoiceLogprobs, FinishReason


@dataclass(frozen=True)
class Draft:
    """A sample. `confidence`: self-certainty, nats; `routing`: share of router probability of each expert."""

    text: str
    tokens: int
    finish_reason: FinishReason
    confidence: float | None
    routing: Mapping[str, float]
    logprobs: ChoiceLogprobs | None = None

    @classmethod
    def of(cls, text: str, reason: FinishReason, detail: SampleDetail, logprobs: ChoiceLogprobs | None) -> Draft:
        """From the parts of a choice."""
        return cls(text, detail.tokens, reason, detail.self_certainty, detail.routing, logprobs)

    def then(self, cue: str, final: Draft) -> Draft:
        """Itself with a final answer after a cue; means are over the tokens of both."""
        tokens = self.tokens + final.tokens
        share = self.tokens / tokens if tokens else 0.0
        certain = None
        if self.confidence is not None and final.confidence is not None:
            certain = share * self.confidence + (1 - share) * final.confidence
        routing = {
            expert: share * self.routing.get(expert, 0.0) + (1 - share) * final.routing.get(expert, 0.0)
            for expert in {*self.routing, *final.routing}
        }
        logprobs = self.logprobs
        if self.logprobs is not None and final.logprobs is not None:
            logprobs = ChoiceLogprobs(content=[*self.logprobs.content, *final.logprobs.content])
        return Draft(f"{self.text}{cue}{final.text}", tokens, final.finish_reason, certain, routing, logprobs)


@dataclass(frozen=True)
class Samples:
    """All samples of one answer. `prompt_tokens` are those of the first call: the prompt is computed once."""

    drafts: tuple[Draft, ...]
    prompt_tokens: int
    fingerprint: str | None = None

    @property
    def completion_tokens(self) -> int:
        """Tokens generated, over all samples."""
        return sum(draft.tokens for draft in self.drafts)


def check_mask(
    consent: Consent, asked: list[str], applied: AppliedMask | None, details: Sequence[SampleDetail] = ()
) -> None:
    """Raises ConsentNotApplied unless the mask applied is the one asked for, and no other expert had a part."""
    if applied is None:
        raise ConsentNotApplied("model", ())
    used = {expert for detail in details for expert, share in detail.routing.items() if share > 0}
    consent.check_experts({*applied.experts, *used})
    if wrong := ({*applied.experts} ^ {*asked}) | (used - {*asked}):
        raise ConsentNotApplied("model", wrong)
