"""Routing as the gateway answers it: owners as the registry has them, and nothing of experts that were left out."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.policy import Consent
from shared.contracts.routing import Shares, ShareSeries, TextRouting
from shared.owners import Owner


def by_registry(found: TextRouting, consent: Consent) -> TextRouting:
    """The routing with the shares of effective owners. Raises ConsentNotApplied if another's expert took part."""
    consent.check_experts(_took_part(found))
    owners = [owner for owner in consent.owners if owner.id in consent.effective and owner.experts]
    overall = _series({expert: [share] for expert, share in found.shares.experts.items()}, owners)
    shares = Shares(experts=found.shares.experts, owners={owner: share for owner, (share,) in overall.owners.items()})
    by_layer, by_token = (_series(series.experts, owners) for series in (found.by_layer, found.by_token))
    return found.model_copy(update={"shares": shares, "by_layer": by_layer, "by_token": by_token})


def _took_part(found: TextRouting) -> set[str]:
    took = {*found.candor.experts, *(expert for expert, share in found.shares.experts.items() if share > 0)}
    for series in (found.by_layer, found.by_token):
        took |= {expert for expert, shares in series.experts.items() if max(shares, default=0) > 0}
    return took | {expert for token in found.chosen or [] for slots in token for expert in slots}


def _series(experts: dict[str, list[float]], owners: Sequence[Owner]) -> ShareSeries:
    """With each owner's sum over its experts in this model; an owner without one there has no entry."""
    shares = {}
    for owner in owners:
        if own := [experts[expert] for expert in owner.experts if expert in experts]:
            shares[owner.id] = [sum(values) for values in zip(*own, strict=True)]
    return ShareSeries(experts=experts, owners=shares)
