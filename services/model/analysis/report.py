"""The report of all analyses over texts of several domains."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.model.analysis.coactivation import co_activation, pair_counts
from services.model.analysis.computed import computed
from services.model.analysis.routed import Routed
from services.model.analysis.saturation import saturation
from services.model.analysis.shares import routing_shares
from services.model.analysis.specialisation import domain_specialisation, vocabulary_specialisation
from shared.contracts.model import AppliedMask, Expert
from shared.contracts.routing import (
    CoActivation,
    DomainRouting,
    RoutingAnalysis,
    Saturation,
    Vocabulary,
    VocabularyEntry,
    VocabularyRouting,
)


@dataclass(frozen=True, slots=True)
class Against:
    """The choices of another checkpoint for the same tokens, domain after domain: (tokens, layers, its k)."""

    name: str
    chosen: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Model:
    """The model analysed: its name, its router's k, the experts of the mask and what its tokens are called."""

    name: str
    active: int
    mask: AppliedMask
    experts: Sequence[Expert]
    token: Callable[[int], str]


def report(model: Model, domains: Mapping[str, Routed], least: int, against: Against | None = None) -> RoutingAnalysis:
    """All analyses of these domains; vocabulary entries seen fewer than `least` times are left out.

    Raises ValueError when an expert computed that is not of the mask, or `against` speaks of other tokens.
    """
    numbers = [expert.index for expert in model.experts]
    active = min(model.active, len(numbers))
    by_domain = {name: computed(domain.chosen, numbers) for name, domain in domains.items()}
    everything = np.concatenate(list(by_domain.values()))
    return RoutingAnalysis(
        model=model.name,
        candor=model.mask,
        experts=[expert.id for expert in model.experts],
        public=[expert.id for expert in model.experts if expert.public],
        active=active,
        uniform=active / len(numbers),
        least=least,
        tokens=len(everything),
        domains={name: _domain(domain, numbers, by_domain[name]) for name, domain in domains.items()},
        co_activation=_co_activation(everything),
        vocabulary=Vocabulary(
            input=_vocabulary(model, [domain.inputs for domain in domains.values()], everything, least),
            next=_vocabulary(model, [domain.following for domain in domains.values()], everything, least),
            predicted=_vocabulary(model, [domain.predicted for domain in domains.values()], everything, least),
        ),
        saturation=_saturation(against, np.concatenate([domain.chosen for domain in domains.values()]), active),
    )


def _domain(domain: Routed, numbers: Sequence[int], own: NDArray[np.bool_]) -> DomainRouting:
    columns = [domain.experts.index(number) for number in numbers]
    return DomainRouting(
        texts=domain.texts,
        tokens=len(domain.inputs),
        shares=routing_shares(domain.probabilities[..., columns]).by_layer.tolist(),
        specialisation=domain_specialisation(own).tolist(),
    )


def _co_activation(everything: NDArray[np.bool_]) -> CoActivation:
    pairs = pair_counts(everything)
    shares = co_activation(pairs)
    nullable = shares.astype(object)
    # JSON has no NaN
    nullable[np.isnan(shares)] = None
    return CoActivation(
        tokens=np.diagonal(pairs, axis1=1, axis2=2).tolist(),
        shares=nullable.tolist(),
    )


def _vocabulary(
    model: Model, ids: Sequence[NDArray[np.int64]], everything: NDArray[np.bool_], least: int
) -> VocabularyRouting:
    flat = np.concatenate(ids)
    found = vocabulary_specialisation(flat, everything, least)
    specialisation, shares = found.specialisation, found.shares.mean(axis=1)
    means = specialisation.mean(axis=1)
    # the most specialised first, of equals the more frequent
    order = np.lexsort((-found.counts, -means))
    return VocabularyRouting(
        tokens=int((flat >= 0).sum()),
        rare_entries=found.rare_ids,
        rare_tokens=found.rare_tokens,
        by_layer=specialisation.mean(axis=0).tolist() if len(found.ids) else [],
        entries=[
            VocabularyEntry(
                id=int(found.ids[place]),
                token=model.token(int(found.ids[place])),
                count=int(found.counts[place]),
                specialisation=float(means[place]),
                shares=shares[place].tolist(),
            )
            for place in order
        ],
    )


def _saturation(against: Against | None, final: NDArray[np.int64], active: int) -> Saturation | None:
    if against is None:
        return None
    # of two values of k the smaller: a longer list of choices would contain the shorter one sooner
    common = min(active, against.chosen.shape[-1])
    return Saturation(
        against=against.name,
        active=common,
        by_layer=saturation(against.chosen[..., :common], final[..., :common]).tolist(),
        first=saturation(against.chosen[..., :1], final[..., :1]).tolist(),
    )
