"""The suite: each owner in turn is left out, and what it was good for is measured on everyone's texts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from services.evaluation.endpoint import Endpoint
from services.evaluation.errors import BadOption
from services.evaluation.measured import gather
from services.evaluation.suites.base import Answer, Kind, Plan, Planned
from services.evaluation.suites.owners.effects import costs, gathered, told
from services.evaluation.suites.owners.extraction import Extraction
from services.evaluation.suites.owners.measure import ALL, Measure, Scope
from services.evaluation.suites.owners.membership import Membership
from services.evaluation.suites.owners.perplexity import Perplexity
from services.evaluation.suites.owners.questions import Questions
from services.evaluation.suites.served import served
from shared.contracts.base import OwnerId, Strict
from shared.contracts.evaluation import Item
from shared.contracts.figure import Figure
from shared.owners import load_owners

MEASURES: tuple[Measure, ...] = (Perplexity(), Questions(), Extraction(), Membership())
"""In the order of the report."""

MeasureId = Literal["perplexity", "questions", "extraction", "membership"]

_BY_ID = {measure.id: measure for measure in MEASURES}


class OwnersOptions(Strict):
    """Who is left out in turn, and by what it is measured."""

    owners: Annotated[
        list[OwnerId] | None,
        Field(min_length=1, description="Left out in turn. Default: all whose default is in and not public."),
    ] = None
    measures: Annotated[list[MeasureId], Field(min_length=1)] = ["perplexity", "questions", "extraction", "membership"]


class Owners:
    """The suite. An item is one text or question of an owner, with all in or with one owner out."""

    id = "owners"
    version = "2"
    title = "What each owner's data adds, and what leaving it out costs"
    description = (
        "Each owner that may be left out is left out in turn. perplexity: held-out documents of every owner, scored by "
        "the model with the experts of the owners that take part (nll is the mean negative log-likelihood a token, "
        "in nats; perplexity is its exponential). questions: gold questions on every owner's documents, with "
        "retrieval. extraction: greedy continuations of documents that an owner's expert was trained on, by ROUGE-L "
        "with what follows there (0.8 and more is a copy). membership: documents that an owner's expert was trained on "
        "and such that it was not, how well the loss, the loss over zlib's bytes and Min-K% tell them apart (AUC). The "
        "matrices and the summary compare each with all owners in, over the same texts."
    )
    options: type[BaseModel] = OwnersOptions
    metrics: Mapping[str, Kind] = {name: kind for measure in MEASURES for name, kind in measure.metrics.items()}
    contrasts: Sequence[tuple[str, str]] = ()
    compared: Sequence[str] = [measure.effect for measure in MEASURES]

    def plan(self, options: OwnersOptions, limit: int, seed: int, home: Path) -> Plan:
        """Measure by measure, text by text, each under all settings. Raises BadOption, MissingData."""
        registry = load_owners()
        scope = Scope(registry, _left_out(options.owners), limit, seed, home)
        parts = {name: _BY_ID[name].plan(scope) for name in dict.fromkeys(options.measures)}
        items = [item for part in parts.values() for item in part.items]
        if not items:
            raise BadOption("measures", "No owner has a held-out text or a question: there is nothing to measure.")
        versions = {str(name): f"sha256:{part.digest}" for name, part in parts.items()}
        return Plan(items, versions, [warning for part in parts.values() for warning in part.warnings])

    async def describe(self, endpoint: Endpoint, versions: Mapping[str, str]) -> dict[str, str]:
        """The model and experts that are served. Raises EndpointError."""
        return await served(endpoint, versions.get("model"))

    async def answer(self, planned: Planned, endpoint: Endpoint) -> Answer:
        """As the item's measure asks."""
        return await _BY_ID[planned.ask["measure"]].answer(planned, endpoint)

    def score(self, planned: Planned, answer: Answer) -> dict[str, float]:
        """As the item's measure scores."""
        return _BY_ID[planned.ask["measure"]].score(planned, answer)

    def contrasts_among(self, settings: Sequence[str]) -> Sequence[tuple[str, str]]:
        """Everyone in, against each left out."""
        return [(setting, ALL) for setting in settings if setting != ALL]

    def figures(self, items: Iterable[Item]) -> list[Figure]:
        """A matrix of each measure, and the time of an answer."""
        groups = gather(items)
        found = gathered(groups, MEASURES)
        drawn: list[Figure] = [measure.matrix(found[measure.id]) for measure in MEASURES if found[measure.id]]
        times = costs(groups)
        return drawn if times is None else [*drawn, times]

    def summary(self, items: Iterable[Item]) -> list[str]:
        """A paragraph for each owner that was left out."""
        return told(gathered(gather(items), MEASURES), MEASURES, {owner.id: owner.name for owner in load_owners()})


def _left_out(asked: Sequence[str] | None) -> list[str]:
    """The owners asked for, if they can be left out. Raises BadOption."""
    can = [owner.id for owner in load_owners() if owner.default == "in" and not owner.public]
    if asked is None:
        return can
    for owner in asked:
        if owner not in can:
            raise BadOption(
                "owners",
                f"{owner!r} cannot be left out: it is public, out by default or unknown. Can: {', '.join(can)}.",
            )
    return list(dict.fromkeys(asked))
