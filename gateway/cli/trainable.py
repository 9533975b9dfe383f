"""What the commands that train an encoder share: the options, and whose passages they read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.failure import Failure
from shared.settings import candor_home

if TYPE_CHECKING:
    from services.retrieval.datastore.segment import Segment
    from services.retrieval.encoders.base import Card

Owners = Annotated[list[str], typer.Option("--owner", help="Whose texts to train on. May be repeated.")]
Held = Annotated[float, typer.Option(min=0, max=1, help="Share of documents held out of training.")]
Base = Annotated[str, typer.Option(help="An encoder in the models folder, or the path of its folder.")]


def encoder_card(option: str, encoder: str) -> Card:
    """The card of an encoder by name or folder. Raises Failure, which names the option."""
    from services.retrieval.encoders.base import describe

    # a path, absolute, takes the place of the models folder it is joined to
    name = encoder if Path(encoder).name == encoder else str(Path(encoder).expanduser().resolve())
    try:
        return describe(name, candor_home())
    except (FileNotFoundError, ValueError) as error:
        raise Failure(f"{option}: {error}") from error


def owners_segments(datastore: str, owners: list[str], card: Card) -> list[Segment]:
    """The segments of these owners. Raises Failure if one of them has none."""
    from services.retrieval.datastore.catalogue import Catalogue

    found = Catalogue(candor_home() / "retrieval", card).get(datastore)
    if found is None:
        raise Failure(f"--datastore: there is no datastore {datastore!r}: run `candor data build`.")
    for owner in owners:
        if owner not in found.owners:
            why = "".join(f"\n{warning}" for warning in found.warnings)
            raise Failure(f"--owner: datastore {datastore!r} has nothing of owner {owner!r}.{why}")
    return found.of(owners)
