"""What each effective owner's data did for one answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gateway.pipeline.sample import Samples
from gateway.policy import Consent
from shared.contracts.candor import LedgerEntry, ReadPassage
from shared.contracts.tracing import Span


def account(
    consent: Consent, experts: Sequence[str], passages: Sequence[ReadPassage], samples: Samples, spans: Sequence[Span]
) -> list[LedgerEntry]:
    """An entry for every effective owner, in the registry's order. `experts` are those that were asked to compute.

    The shares do not add up to 1: the rest is the public expert's, which is no one's data in the registry.
    """
    return [
        LedgerEntry(
            owner=owner.id,
            experts=[expert for expert in owner.experts if expert in experts],
            routing_share=round(sum(routing_share(samples, expert) for expert in owner.experts), 6),
            passages=sum(passage.owner == owner.id for passage in passages),
            traced_characters=_covered((span.start, span.end) for span in spans if owner.id in span.owners),
        )
        for owner in consent.owners
        if owner.id in consent.effective
    ]


def routing_share(samples: Samples, expert: str) -> float:
    """The expert's share of router probability, over the tokens of all samples."""
    tokens = sum(draft.tokens for draft in samples.drafts)
    return sum(draft.tokens * draft.routing.get(expert, 0.0) for draft in samples.drafts) / tokens if tokens else 0.0


def _covered(ranges: Iterable[tuple[int, int]]) -> int:
    """Length of the union."""
    covered, reached = 0, 0
    for start, end in sorted(ranges):
        covered += max(0, end - max(start, reached))
        reached = max(reached, end)
    return covered
