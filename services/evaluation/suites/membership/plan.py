"""What a run asks: members and non-members of each owner, under masks with and without the owner's experts."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from services.evaluation.errors import BadOption
from services.evaluation.suites.base import Plan, Planned
from services.evaluation.suites.drawing import item_seed
from services.evaluation.suites.membership.attacks import ATTACKS, Attack
from services.evaluation.suites.membership.corpus import corpus
from services.evaluation.suites.membership.drawn import Drawn, Text, draw
from services.evaluation.suites.texts import cut
from shared.contracts.base import OwnerId, Strict
from shared.owners import Owner, load_owners

ALL, PUBLIC = "all", "public only"
"""The settings in which every owner takes part whose default is in, and in which none but the public ones do."""

NGRAMS = (7, 13)
"""Of the overlap with the training split, as MIMIR takes them."""

PREFIXES, PREFIX_CHARACTERS = 3, 400
"""Held-out documents that ReCaLL's prefix is made of, and of each so much. None of them is a non-member."""

FEW = 10
"""Pairs below which a figure says next to nothing."""

Mask = Literal["all", "without", "public"]


class MembershipOptions(Strict):
    """Whose experts are attacked, how, and under which masks."""

    owners: Annotated[
        list[OwnerId] | None, Field(min_length=1, description="Default: all with an expert in the model.")
    ] = None
    attacks: Annotated[list[Attack], Field(min_length=1)] = list(ATTACKS)
    masks: Annotated[
        list[Mask], Field(min_length=1, description="All in; without the owner of the text; public experts only.")
    ] = ["all", "without", "public"]
    characters: Annotated[int, Field(ge=200, le=8000, description="Of a text, at most.")] = 1200
    neighbours: Annotated[int, Field(ge=1, le=100)] = 25


def without(owner: str) -> str:
    """The setting in which an owner is left out of its own texts' scores."""
    return f"without {owner}"


def plan(options: MembershipOptions, limit: int, seed: int, home: Path) -> Plan:
    """`limit` pairs of each owner, under all masks. Raises BadOption, MissingData."""
    registry = load_owners()
    planning = _Planning(options, registry, seed, home)
    items: list[Planned] = []
    warnings: list[str] = []
    content = hashlib.sha256()
    for owner in _attacked(options.owners, registry):
        drawn = draw(
            home, owner.id, limit=limit, seed=seed, characters=options.characters, spare=PREFIXES, sizes=NGRAMS
        )
        warnings += [*drawn.warnings, *_cautions(owner.id, drawn, options.attacks)]
        for text in drawn.texts:
            content.update(f"{text.id}\n{text.member}\n{text.text}\n".encode("utf-8", "surrogatepass"))
        items += planning.items(owner, drawn)
    if not items:
        raise BadOption("owners", "None of these owners has a training document and a held-out one of its source.")
    versions = {"texts": f"sha256:{content.hexdigest()}", "attacks": ",".join(dict.fromkeys(options.attacks))}
    return Plan(items, versions, warnings)


class _Planning:
    """What the items of all owners have in common."""

    def __init__(self, options: MembershipOptions, registry: Sequence[Owner], seed: int, home: Path) -> None:
        self._options, self._registry, self._seed, self._home = options, registry, seed, home
        self._attacks = list(dict.fromkeys(options.attacks))
        self._public = [owner.id for owner in registry if owner.public]
        self._corpus = corpus(home, tuple(self._public))[1] if "dc_pdd" in self._attacks else None

    def items(self, owner: Owner, drawn: Drawn) -> list[Planned]:
        """Text by text, each under all masks."""
        prefix = "\n\n".join(cut(text, PREFIX_CHARACTERS) for text in drawn.spare)
        return [self._item(text, owner, mask, prefix) for text in drawn.texts for mask in self._masks()]

    def _masks(self) -> list[Mask]:
        return list(dict.fromkeys(self._options.masks))

    def _item(self, text: Text, owner: Owner, mask: Mask, prefix: str) -> Planned:
        setting, owners = self._setting(owner, mask)
        ask: dict[str, Any] = {
            "attacks": self._attacks,
            "member": text.member,
            "owners": owners,
            "experts": {expert: one.id for one in self._registry for expert in one.experts},
            "public": self._public,
            # where none but the public experts take part they have no other reference than themselves
            "reference": self._public if "reference" in self._attacks and self._private(owners) else None,
            "prefix": prefix,
            "neighbours": self._options.neighbours,
            "home": str(self._home),
            "corpus": self._corpus,
            "overlap": {str(n): share for n, share in text.overlap.items()},
        }
        return Planned(
            id=f"{text.id}@{setting}",
            question_id=text.id,
            set=owner.id,
            setting=setting,
            question=text.text,
            gold=["member" if text.member else "non-member"],
            seed=item_seed(self._seed, text.id),
            ask=ask,
        )

    def _private(self, owners: Sequence[str]) -> bool:
        """Whether an expert of theirs takes part that is not public."""
        return any(one.experts for one in self._registry if one.id in owners and not one.public)

    def _setting(self, owner: Owner, mask: Mask) -> tuple[str, list[str]]:
        default = [one.id for one in self._registry if one.takes_part]
        if mask == "all":
            # the owner that is attacked, also one whose default is out
            return ALL, [one.id for one in self._registry if one.id in default or one.id == owner.id]
        if mask == "without":
            return without(owner.id), [one for one in default if one != owner.id]
        return PUBLIC, self._public


def _attacked(asked: Sequence[str] | None, registry: Sequence[Owner]) -> list[Owner]:
    """The owners asked for, if they have an expert that can be left out. Raises BadOption."""
    can = {owner.id: owner for owner in registry if owner.experts and not owner.public}
    for owner in asked or []:
        if owner not in can:
            raise BadOption(
                "owners", f"{owner!r} has no expert of its own that could be left out. Have one: {', '.join(can)}."
            )
    return [can[owner] for owner in dict.fromkeys(asked if asked is not None else can)]


def _cautions(owner: str, drawn: Drawn, attacks: Sequence[Attack]) -> list[str]:
    pairs, found = len(drawn.texts) // 2, []
    if 0 < pairs < FEW:
        found.append(f"{owner}: an AUC of {pairs} pairs says next to nothing.")
    if 0 < pairs < 100:
        found.append(
            f"{owner}: of {pairs} non-members none may be a false alarm at 1% and at 0.1%: both rates say which "
            "members are below every non-member."
        )
    if "recall" in attacks and not drawn.spare:
        found.append(f"{owner}: no held-out document is left for ReCaLL's prefix; it is not measured.")
    return found
