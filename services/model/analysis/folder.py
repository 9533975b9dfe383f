"""The analyses of a checkpoint in a folder, without a service. Imports torch."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from services.model.analysis.against import against as load_and_route
from services.model.analysis.report import Model, report
from services.model.analysis.routed import Routed, routed
from services.model.engines.base import RouteTask
from services.model.engines.loading import load_here
from services.model.engines.tokenizer import Tokenizer
from services.model.experts import Experts
from services.model.settings import ModelSettings
from shared.contracts.model import AppliedMask, Expert
from shared.contracts.routing import RoutingAnalysis


@dataclass(frozen=True, slots=True)
class Sample:
    """How much of a domain is read: the first `length` tokens of its documents, in an order that the domain's size
    decides, until there are `tokens`. `least`: how often a vocabulary entry must be seen."""

    tokens: int = 4096
    length: int = 256
    least: int = 10


def analyse_folder(
    directory: Path,
    domains: Mapping[str, Sequence[str]],
    sample: Sample,
    *,
    exclude: Sequence[str] = (),
    against: Path | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> RoutingAnalysis:
    """Route a sample of each domain's documents through a checkpoint and report on it.

    `exclude`: owners whose experts are left out. `progress` is told what is being done. Raises OSError or ValueError
    for a checkpoint that cannot be loaded, an owner it does not know, or one that cannot be compared with it.
    """
    settings = ModelSettings()
    progress(f"loading {directory}")
    tokenizer, model, texts, found = _routed(directory, settings, domains, sample, exclude=exclude, progress=progress)
    # before another checkpoint takes its place: the patched routers and their mask refer to each other
    gc.collect()
    other = None
    if against is not None:
        progress(f"comparing with {against}")
        flat = [tokens for own in texts.values() for tokens in own]
        names = {expert.id: expert.index for expert in model.experts}
        other = load_and_route(against, settings, flat, names, tokenizer.bytes_of)
    progress("counting")
    return report(model, found, sample.least, other)


def _routed(
    directory: Path,
    settings: ModelSettings,
    domains: Mapping[str, Sequence[str]],
    sample: Sample,
    *,
    exclude: Sequence[str],
    progress: Callable[[str], None],
) -> tuple[Tokenizer, Model, dict[str, list[list[int]]], dict[str, Routed]]:
    """The tokens of each domain's sample and their routing; the checkpoint itself is let go."""
    engine, tokenizer = load_here(directory, settings)
    try:
        experts = _experts(Experts.of(directory, engine.info.experts), exclude)
        mask = AppliedMask(experts=[expert.id for expert in experts], vocabulary=engine.info.vocabulary)
        model = Model(directory.resolve().name, engine.info.active, mask, experts, tokenizer.name)
        allowed = frozenset(expert.index for expert in experts)
        texts = {name: _sampled(tokenizer, documents, sample) for name, documents in domains.items()}
        found = {}
        for name, own in texts.items():
            progress(f"routing {name}")
            tasks = [RouteTask(tuple(tokens), allowed, predict=True) for tokens in own]
            found[name] = routed(own, engine.route(tasks).result())
    finally:
        engine.close()
    return tokenizer, model, texts, found


def _experts(experts: Experts, exclude: Sequence[str]) -> list[Expert]:
    owners = [expert.owner for expert in experts.listed if expert.owner]
    for owner in exclude:
        if owner not in owners:
            raise ValueError(f"no expert of this model is {owner}'s; owners with one: {', '.join(owners) or 'none'}")
    return [expert for expert in experts.listed if expert.owner not in exclude]


def _sampled(tokenizer: Tokenizer, documents: Sequence[str], sample: Sample) -> list[list[int]]:
    texts: list[list[int]] = []
    left = sample.tokens
    for place in np.random.default_rng(0).permutation(len(documents)):
        if tokens := tokenizer.encode(documents[place])[: min(sample.length, left)]:
            texts.append(tokens)
            left -= len(tokens)
        if not left:
            break
    return texts
