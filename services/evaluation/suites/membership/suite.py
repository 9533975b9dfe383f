"""The suite: attacks that say of a text whether a model was trained on it, with and without the owner's expert."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel

from services.evaluation.endpoint import Endpoint, EndpointError
from services.evaluation.measured import gather
from services.evaluation.suites.base import Answer, Kind, Plan, Planned
from services.evaluation.suites.membership.asking import Asking
from services.evaluation.suites.membership.attacks import METRICS, scores
from services.evaluation.suites.membership.corpus import Frequencies
from services.evaluation.suites.membership.drawn import COPY_NGRAM
from services.evaluation.suites.membership.figures import plots
from services.evaluation.suites.membership.plan import ALL, NGRAMS, MembershipOptions, plan
from services.evaluation.suites.membership.told import told
from services.evaluation.suites.served import served
from shared.contracts.evaluation import Item
from shared.contracts.figure import Figure
from shared.owners import load_owners

_NEEDS = {"min_k_plus_plus": "own_moments", "grad_norm": "gradient_norm"}
"""Attacks that need what not every engine tells."""

_SIZES = " and ".join(map(str, NGRAMS))


class Membership:
    """The suite. An item is one text under one mask, with all attacks."""

    id = "membership"
    version = "1"
    title = "Whether an outsider can tell what each owner's expert was trained on"
    description = (
        "Documents that an owner's expert was trained on (members) and held-out documents of the same owner, source "
        "and length (non-members). Each attack gives a text a score, lower for a member; auc_ATTACK is the share of "
        "pairs of a member and a non-member that it orders rightly (0.5 is guessing). With everyone in, without the "
        "text's owner, and with public experts only: what an attack finds where the owner's expert has no part is a "
        f"difference between the documents. overlap_N is the share of a text's N-grams ({_SIZES}) that other training "
        f"documents hold; held-out texts that repeat training text ({COPY_NGRAM}-grams) are left out."
    )
    options: type[BaseModel] = MembershipOptions
    metrics: Mapping[str, Kind] = METRICS
    unreported = tuple(f"overlap_{n}" for n in NGRAMS)
    contrasts: Sequence[tuple[str, str]] = ()
    compared: Sequence[str] = list(METRICS)

    def __init__(self) -> None:
        self._asking = Asking(Frequencies())

    def plan(self, options: MembershipOptions, limit: int, seed: int, home: Path) -> Plan:
        """Owner by owner, text by text, each under all masks. Raises BadOption, MissingData."""
        return plan(options, limit, seed, home)

    async def describe(self, endpoint: Endpoint, versions: Mapping[str, str]) -> dict[str, str]:
        """What is served, once it has shown that it tells what the attacks need. Raises EndpointError."""
        # first: an endpoint that is away is not one that cannot tell
        found = await served(endpoint, versions.get("model"))
        wanted = {_NEEDS[attack] for attack in versions.get("attacks", "").split(",") if attack in _NEEDS}
        if wanted:
            body = {"texts": ["Is this told?"], "owners": [], **dict.fromkeys(wanted, True)}
            try:
                await endpoint.post("/v1/score", body, item="probe-score")
            except EndpointError as error:
                needing = [attack for attack, need in _NEEDS.items() if need in wanted]
                raise EndpointError(f"{error} Leave out {' and '.join(needing)} (the option attacks).") from error
        return found

    async def answer(self, planned: Planned, endpoint: Endpoint) -> Answer:
        """All that the attacks need of one text. Raises EndpointError or BadAnswer."""
        return await self._asking.ask(planned, endpoint)

    def score(self, planned: Planned, answer: Answer) -> dict[str, float]:
        """Of each attack, and what the text is: a member or not, and how much of it others hold."""
        overlap = {f"overlap_{n}": share for n, share in planned.ask["overlap"].items()}
        return {"member": float(planned.ask["member"]), **scores(planned.question, answer.details), **overlap}

    def contrasts_among(self, settings: Sequence[str]) -> Sequence[tuple[str, str]]:
        """Everyone in, against each other mask."""
        return [(setting, ALL) for setting in settings if setting != ALL]

    def figures(self, items: Iterable[Item]) -> list[Figure]:
        """AUC and TPR by attack, the overlap, and the AUC once that is the same for both groups."""
        return plots(gather(items))

    def summary(self, items: Iterable[Item]) -> list[str]:
        """A paragraph for each owner whose expert was attacked."""
        return told(gather(items), {owner.id: owner.name for owner in load_owners()})
