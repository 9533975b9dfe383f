"""One of the parallel samples, as the model service returned it, and joined with its forced final answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.pipeline.thinking import Splitter
from gateway.policy import Consent, ConsentNotApplied
from shared.contracts.model import AppliedMask, SampleDetail
from shared.contracts.openai import ChoiceLogprobs, FinishReason


@dataclass(frozen=True)
class Draft:
    """A sample. `raw` is what the model wrote: `reasoning`, its thinking, and `text`, the answer after it;
    `thinking`: it ended before its thinking did. `tokens` counts both.

    `confidence`: self-certainty, nats; `routing`: share of router probability of each expert. `unforced`: why it has
    not the forced final answer that it should.
    """

    text: str
    tokens: int
    finish_reason: FinishReason
    confidence: float | None
    routing: Mapping[str, float]
    logprobs: ChoiceLogprobs | None = None
    raw: str = ""
    reasoning: str | None = None
    thinking: bool = False
    unforced: str | None = None

    @classmethod
    def of(
        cls,
        raw: str,
        reason: FinishReason,
        detail: SampleDetail,
        logprobs: ChoiceLogprobs | None,
        splitter: Splitter | None = None,
    ) -> Draft:
        """From the parts of a choice; `splitter` parts its text, none of which it has taken yet."""
        reasoning, text = parted(raw, splitter) if splitter else ("", raw)
        return cls(
            text,
            detail.tokens,
            reason,
            detail.self_certainty,
            detail.routing,
            logprobs,
            raw,
            reasoning or None,
            splitter is not None and splitter.thinking,
        )

    def then(self, cue: str, final: Draft) -> Draft:
        """Itself with a final answer after a cue that also ended its thinking; means are over the tokens of both."""
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
        text = final.text if self.thinking else f"{self.text}{cue}{final.text}"
        raw = f"{self.raw}{cue}{final.text}"
        return Draft(text, tokens, final.finish_reason, certain, routing, logprobs, raw, self.reasoning)


def parted(raw: str, splitter: Splitter) -> tuple[str, str]:
    """A whole text's thinking, and its answer."""
    (thought, said), (rest, last) = splitter.take(raw), splitter.end()
    return thought + rest, said + last


@dataclass(frozen=True)
class Samples:
    """All samples of one answer. `prompt_tokens` are those of the first call: the prompt is computed once.

    `decided`: they were stopped as soon as the answer was; `aborted`: the tokens of each that had not ended by then;
    `budget`: what each of them might have had.
    """

    drafts: tuple[Draft, ...]
    prompt_tokens: int
    fingerprint: str | None = None
    decided: bool = False
    aborted: tuple[int, ...] = ()
    budget: int = 0

    @property
    def completion_tokens(self) -> int:
        """Tokens generated, over all samples."""
        return sum(draft.tokens for draft in self.drafts) + sum(self.aborted)

    @property
    def saved(self) -> int:
        """Tokens that the aborted samples had left."""
        return sum(max(0, self.budget - tokens) for tokens in self.aborted)


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
