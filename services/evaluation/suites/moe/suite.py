"""The suite: which experts compute whose text, together with whom, and since when."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from services.evaluation.endpoint import Endpoint
from services.evaluation.errors import BadOption
from services.evaluation.suites.base import Answer, BadAnswer, Kind, Plan, Planned
from services.evaluation.suites.moe.plots import plots
from services.evaluation.suites.served import served
from services.evaluation.suites.texts import held_out
from shared.contracts.base import OwnerId, Strict
from shared.contracts.evaluation import Item
from shared.contracts.figure import Figure
from shared.contracts.routing import CheckpointName, RoutingAnalysis
from shared.owners import load_owners

ALL_TEXTS = "all texts"
"""The set of the items that analyse every owner's documents at once."""

MOST_CHARACTERS = 60_000
"""Of one analysis: the endpoint takes 32,768 tokens, and a token of these texts is two characters at the least."""

_ENTRIES = 40
"""Vocabulary entries kept of each kind, the most specialised."""


class MoeOptions(Strict):
    """Whose texts, and which checkpoints to compare the served one with."""

    owners: Annotated[list[OwnerId] | None, Field(min_length=1)] = None
    characters: Annotated[int, Field(ge=200, le=10_000, description="Of a document.")] = 800
    against: Annotated[
        list[CheckpointName], Field(description="Checkpoints of CANDOR_HOME/models, for saturation.")
    ] = []
    least: Annotated[int, Field(ge=1, description="Vocabulary entries seen fewer times are left out.")] = 5


class Moe:
    """The suite. An item is one document routed, or one analysis of all documents together."""

    id = "moe"
    version = "1"
    title = "Which experts compute whose text (OLMoE's analyses)"
    description = (
        "Held-out documents of each owner, routed by the served model. own_expert is the share of a document's tokens "
        "that the experts of its owner compute, mean over layers; busiest that of the expert with most; even what it "
        "were if all were chosen evenly. Over all documents together: co-activation, vocabulary specialisation and, "
        "against other checkpoints, saturation, as plots."
    )
    options: type[BaseModel] = MoeOptions
    metrics: Mapping[str, Kind] = {"own_expert": "mean", "busiest": "mean", "even": "mean", "saturation": "mean"}
    contrasts: Sequence[tuple[str, str]] = ()
    compared: Sequence[str] = ()

    def plan(self, options: MoeOptions, limit: int, seed: int, home: Path) -> Plan:
        """`limit` documents of each owner, one by one and all together. Raises BadOption, MissingData."""
        registry = {owner.id: owner for owner in load_owners()}
        if unknown := [owner for owner in options.owners or [] if owner not in registry]:
            raise BadOption("owners", f"There is no owner {unknown[0]!r}. Known: {', '.join(registry)}.")
        texts = {
            owner: held_out(home, owner, limit=limit, seed=seed, characters=options.characters)
            for owner in options.owners or registry
        }
        warnings = [f"{owner} has no held-out document." for owner, found in texts.items() if not found]
        texts = {owner: found for owner, found in texts.items() if found}
        if not texts:
            raise BadOption("owners", "None of these owners has a held-out document: there is nothing to route.")
        items = [
            _item(f"{owner}/{identity}", owner, {owner: [text]}, options, experts=registry[owner].experts)
            for owner, found in texts.items()
            for identity, text in found.items()
        ]
        together = _together(texts)
        if sum(map(len, together.values())) < sum(map(len, texts.values())):
            fewest = min(map(len, together.values()))
            warnings.append(
                f"Together only the first {fewest} documents or so of each owner are analysed: all are too much."
            )
        items += [
            _item(ALL_TEXTS, ALL_TEXTS, together, options, against=against)
            for against in [None, *dict.fromkeys(options.against)]
        ]
        content = sha256("\n".join(text for found in texts.values() for text in found.values()).encode())
        return Plan(items, {"texts": f"sha256:{content.hexdigest()}"}, warnings)

    async def describe(self, endpoint: Endpoint, versions: Mapping[str, str]) -> dict[str, str]:
        """The model and experts that are served. Raises EndpointError."""
        return await served(endpoint, versions.get("model"))

    async def answer(self, planned: Planned, endpoint: Endpoint) -> Answer:
        """One analysis. Raises EndpointError or BadAnswer."""
        reply = await endpoint.post("/v1/routing/analysis", planned.ask["body"], item=planned.id)
        try:
            found = RoutingAnalysis.model_validate(reply.body)
        except ValidationError as error:
            fault = error.errors()[0]
            place = ".".join(map(str, fault["loc"]))
            raise BadAnswer(f"this is no analysis of routing ({place}: {fault['msg']})") from error
        shares = ", ".join(f"{expert} {share:.2f}" for expert, share in _computed(found).items())
        return Answer(planned.question, f"computed by: {shares}", found.tokens, reply.latency_ms, _kept(found, planned))

    def score(self, planned: Planned, answer: Answer) -> dict[str, float]:
        """Of a document its experts' shares; of an analysis against a checkpoint the mean saturation."""
        details = answer.details
        if planned.set == ALL_TEXTS:
            saturation = details["saturation"]
            return {} if saturation is None else {"saturation": fmean(saturation["by_layer"])}
        shares: dict[str, float] = details["computed"]
        own = [expert for expert in planned.ask["experts"] if expert in shares]
        scores = {"busiest": max(shares.values()), "even": float(details["uniform"])}
        return scores | ({"own_expert": sum(shares[expert] for expert in own)} if own else {})

    def figures(self, items: Iterable[Item]) -> list[Figure]:
        """Domain specialisation, co-activation, vocabulary, saturation."""
        return plots(items, ALL_TEXTS)


def _item(
    identity: str,
    name: str,
    texts: Mapping[str, Sequence[str]],
    options: MoeOptions,
    *,
    experts: Sequence[str] = (),
    against: str | None = None,
) -> Planned:
    body: dict[str, Any] = {"texts": {owner: list(found) for owner, found in texts.items()}, "least": options.least}
    setting = "served" if against is None else f"against {against}"
    return Planned(
        id=f"{identity}@{setting}",
        question_id=identity,
        set=name,
        setting=setting,
        question="\n\n".join(text for found in texts.values() for text in found)[:2000],
        gold=[],
        seed=0,
        ask={"body": body | ({"against": against} if against is not None else {}), "experts": list(experts)},
    )


def _together(texts: Mapping[str, Mapping[str, str]]) -> dict[str, list[str]]:
    """As many documents of each owner as fit into one analysis, round by round."""
    kept: dict[str, list[str]] = {owner: [] for owner in texts}
    left = MOST_CHARACTERS
    for place in range(max(map(len, texts.values()))):
        for owner, found in texts.items():
            text = next((text for at, text in enumerate(found.values()) if at == place), None)
            if text is not None and len(text) <= left:
                kept[owner].append(text)
                left -= len(text)
    return {owner: found for owner, found in kept.items() if found}


def _kept(found: RoutingAnalysis, planned: Planned) -> dict[str, Any]:
    """What scores and plots need of an analysis; the vocabulary only of all texts, its most specialised entries."""
    [*domains] = found.domains.values()
    kept: dict[str, Any] = {
        "experts": found.experts,
        "uniform": found.uniform,
        "computed": _computed(found),
        "saturation": found.saturation.model_dump() if found.saturation is not None else None,
    }
    if planned.set != ALL_TEXTS:
        return kept | {"specialisation": domains[0].specialisation}
    vocabulary = {}
    for kind in ("input", "next", "predicted"):
        routing = getattr(found.vocabulary, kind).model_dump()
        vocabulary[kind] = routing | {"entries": routing["entries"][:_ENTRIES]}
    return kept | {"co_activation": found.co_activation.model_dump(), "vocabulary": vocabulary}


def _computed(found: RoutingAnalysis) -> dict[str, float]:
    """By expert the share of all tokens that it computed, mean over layers."""
    total = sum(domain.tokens for domain in found.domains.values())
    layers = len(next(iter(found.domains.values())).specialisation)
    return {
        expert: sum(
            domain.tokens * domain.specialisation[layer][at]
            for domain in found.domains.values()
            for layer in range(layers)
        )
        / (total * layers)
        for at, expert in enumerate(found.experts)
    }
