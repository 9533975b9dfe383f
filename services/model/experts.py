"""Who the experts of a checkpoint are: the masks that requests ask for by name."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from services.model.errors import UnknownExpert
from shared.contracts.model import PUBLIC, Expert


class Experts:
    """The experts of the served model at one moment, in the order of their places; the first is the public one.

    Never changed, only replaced: a request keeps the one it began with, and with it what its numbers mean.
    """

    def __init__(self, listed: Sequence[Expert]) -> None:
        """Raises ValueError when the first is not public, or two have one id."""
        ids = [expert.id for expert in listed]
        if not ids or ids[0] != PUBLIC or len(set(ids)) < len(ids):
            raise ValueError(f"experts must begin with {PUBLIC!r} and differ from each other, not be {ids}")
        self.listed = tuple(listed)
        self._index = {expert.id: expert.index for expert in listed}

    @classmethod
    def of(cls, directory: Path, count: int) -> Experts:
        """Read candor.json beside the weights; a checkpoint without one has a public expert and numbered others.

        Raises ValueError when the file does not speak of `count` experts.
        """
        card = directory / "candor.json"
        if not card.is_file():
            return cls([Expert(id=f"expert-{i}" if i else PUBLIC, index=i, owner=None) for i in range(count)])
        entries = json.loads(card.read_text(encoding="utf-8"))["experts"]
        if len(entries) != count:
            raise ValueError(f"{card} names {len(entries)} experts, but the weights have {count}")
        return cls(
            [
                Expert(
                    id=entry["id"],
                    index=index,
                    owner=entry.get("owner"),
                    licence=entry.get("licence"),
                    trained_tokens=entry.get("tokens"),
                )
                for index, entry in enumerate(entries)
            ]
        )

    def mask(self, ids: Iterable[str], field: str) -> frozenset[int]:
        """Numbers of the named experts and of the public one, which is always on. Raises UnknownExpert."""
        indices = {self._index[PUBLIC]}
        for expert in ids:
            if expert not in self._index:
                raise UnknownExpert(expert, list(self._index), field)
            indices.add(self._index[expert])
        return frozenset(indices)

    def of_owner(self, owner: str) -> list[Expert]:
        """The experts that are an owner's."""
        return [expert for expert in self.listed if expert.owner == owner]

    def without(self, owner: str) -> Experts:
        """Those that remain when an owner leaves."""
        return Experts([expert for expert in self.listed if expert.owner != owner])

    def joined(self, expert: Expert) -> Experts:
        """These and one more, in the last place. Raises ValueError when its id is taken."""
        return Experts([*self.listed, expert])

    def names(self, mask: frozenset[int]) -> list[str]:
        """The ids of a mask's experts, in the model's order."""
        return [expert.id for expert in self.listed if expert.index in mask]

    def shares(self, routing: Mapping[int, float]) -> dict[str, float]:
        """Routing shares by the experts' ids; 0 for one that was removed while a sample without it went on."""
        return {expert.id: routing.get(expert.index, 0.0) for expert in self.listed}
