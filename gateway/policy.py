"""Consent: which owners' data may take part in a request. Whatever is unclear fails closed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from pydantic import BaseModel

from shared.contracts.candor import AppliedOwners, OwnerChoice
from shared.contracts.model import PUBLIC
from shared.http.errors import CandorError
from shared.owners import Owner

Request = TypeVar("Request", bound=BaseModel)


class UnknownOwner(CandorError):
    """A request names an owner that the registry does not have."""

    status, code = 404, "unknown_owner"

    def __init__(self, owner: str, known: Iterable[str], field: str | None = None) -> None:
        super().__init__(f"There is no owner {owner!r}. Known: {', '.join(known)}.", field=field)


class AlwaysOn(CandorError):
    """A request leaves out an owner whose data are public."""

    status, code = 400, "owner_always_on"

    def __init__(self, owner: str, field: str) -> None:
        super().__init__(f"{owner!r} is public and always on: it cannot be left out.", field=field)


class ConsentNotApplied(CandorError):
    """A service used, or may have used, data of owners that were left out: the request fails, strict or not.

    `wrong` are the owners or experts on which it differs from what was asked; none when it did not say.
    """

    status, code = 503, "consent_not_applied"

    def __init__(self, service: str, wrong: Iterable[str]) -> None:
        names = ", ".join(sorted(set(wrong)))
        fault = f"did not apply the effective owners as asked ({names})" if names else "did not say whose data it used"
        super().__init__(f"The {service} service {fault}. Nothing is answered.")


@dataclass(frozen=True)
class Consent:
    """Who is permitted, what the request said, and the owners whose data may take part."""

    owners: tuple[Owner, ...]
    """Every owner of the registry, in its order."""
    permitted: tuple[str, ...]
    requested: OwnerChoice
    effective: tuple[str, ...]

    @cached_property
    def experts(self) -> tuple[str, ...]:
        """The experts that may compute; the public one always may."""
        return (PUBLIC, *(expert for owner in self.owners if owner.id in self.effective for expert in owner.experts))

    def applied(self) -> AppliedOwners:
        """As the wire says it."""
        return AppliedOwners(permitted=[*self.permitted], requested=self.requested, effective=[*self.effective])

    def limited(self, request: Request) -> Request:
        """A service's request with the effective owners as those it is for."""
        return request.model_copy(update={"owners": [*self.effective]})

    def check(self, service: str, used: Iterable[str]) -> None:
        """Raises ConsentNotApplied if the service used an owner that is not effective."""
        self._refuse(service, set(used) - set(self.effective))

    def check_experts(self, used: Iterable[str], public: Iterable[str] = ()) -> None:
        """Raises ConsentNotApplied if an expert computed that may not.

        `public`: experts that the model calls the anchor's own, which it may be believed of those that are no owner's.
        """
        owned = {expert for owner in self.owners for expert in owner.experts}
        self._refuse("model", set(used) - set(self.experts) - (set(public) - owned))

    @staticmethod
    def _refuse(service: str, beyond: set[str]) -> None:
        if beyond:
            raise ConsentNotApplied(service, beyond)


class Policy:
    """Computes the consent of each request from the registry of owners."""

    def __init__(self, owners: Sequence[Owner]) -> None:
        self.owners = tuple(owners)
        self._public = {owner.id for owner in owners if owner.public}

    def permitted(self) -> tuple[str, ...]:
        """The owners whose data the client's key may use; without keys, every one."""
        return tuple(owner.id for owner in self.owners)

    def effective(self, requested: OwnerChoice, *, include: str = "candor.owners.include") -> Consent:
        """Permitted owners less what the request leaves out; public owners always.

        `include` is the field in which the request names owners. Raises UnknownOwner, AlwaysOn.
        """
        permitted = self.permitted()
        if requested.include is not None:
            chosen = self._known(requested.include, permitted, include)
        elif requested.exclude is not None:
            left_out = self._known(requested.exclude, permitted, "candor.owners.exclude")
            for owner in sorted(left_out & self._public):
                raise AlwaysOn(owner, "candor.owners.exclude")
            chosen = self._by_default(permitted) - left_out
        else:
            chosen = self._by_default(permitted)
        # in the registry's order, so that equal sets are equal on the wire and in every cache
        effective = tuple(owner for owner in permitted if owner in chosen | self._public)
        return Consent(self.owners, permitted, requested, effective)

    def named(self, owners: list[str] | None) -> Consent:
        """The consent of a resource that takes a plain list in `owners`; None is the default set."""
        return self.effective(OwnerChoice(include=owners), include="owners")

    def owner(self, identity: str) -> Owner:
        """The owner of this id. Raises UnknownOwner."""
        for owner in self.owners:
            if owner.id == identity:
                return owner
        raise UnknownOwner(identity, (owner.id for owner in self.owners))

    def _by_default(self, permitted: Sequence[str]) -> set[str]:
        return {owner.id for owner in self.owners if owner.default == "in" and owner.id in permitted}

    @staticmethod
    def _known(named: Sequence[str], permitted: Sequence[str], field: str) -> set[str]:
        for owner in named:
            if owner not in permitted:
                raise UnknownOwner(owner, permitted, field)
        return set(named)
