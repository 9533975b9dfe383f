"""Owners of data: the registry that owners.yaml holds and the gateway serves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from shared.contracts.base import OwnerId
from shared.settings import owners_file


class Source(BaseModel):
    """Where an owner's text comes from, and under which licence."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    origin: str
    licence: str
    clean: bool | None = None
    """Whether the datastore leaves out its duplicates and what is no prose; None: by the kind of file."""


class Owner(BaseModel):
    """Whose data it is. `public` owners are always on; `default` is what a request gets that does not say."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: OwnerId
    name: str
    licence: str
    contact: str
    public: bool = False
    default: Literal["in", "out"] = "in"
    experts: list[str] = []
    sources: list[Source] = []
    corpora: list[str] = []

    @property
    def takes_part(self) -> bool:
        """Whether in a request that names no owners."""
        return self.public or self.default == "in"


class BadRegistry(ValueError):
    """owners.yaml is missing, not YAML, or says something it cannot mean."""


def load_owners(path: Path | None = None) -> list[Owner]:
    """The owners of a registry file, by default that of the settings, in its order.

    Raises BadRegistry with the place of the fault.
    """
    path = path or owners_file()
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        owners = [Owner.model_validate(entry) for entry in content["owners"]]
    except FileNotFoundError as error:
        raise BadRegistry(f"There is no {path}: it lists the owners of the data.") from error
    except (yaml.YAMLError, ValidationError, TypeError, KeyError) as error:
        raise BadRegistry(f"{path}: {error}") from error
    _refuse_twice([owner.id for owner in owners], "owner", path)
    _refuse_twice([expert for owner in owners for expert in owner.experts], "expert", path)
    _refuse_twice([corpus for owner in owners for corpus in owner.corpora], "corpus", path)
    return owners


def _refuse_twice(ids: Sequence[str], kind: str, path: Path) -> None:
    """Two owners of one thing would make consent ambiguous."""
    twice = sorted({identity for identity in ids if list(ids).count(identity) > 1})
    if twice:
        raise BadRegistry(f"{path}: {kind} named twice: {', '.join(twice)}.")
