"""Loading the encoder and opening the datastores, before the service says that it is ready."""

from __future__ import annotations

from collections.abc import Callable

from services.retrieval.datastore.catalogue import open_datastores
from services.retrieval.encoders import base
from services.retrieval.encoders.serial import SerialEncoder
from services.retrieval.service import Retrieval
from services.retrieval.settings import RetrievalSettings
from shared.owners import BadRegistry, load_owners
from shared.settings import candor_home, cores


class NothingToSearch(Exception):
    """There is no segment that could be searched. The message says what to do."""


def start(settings: RetrievalSettings, enter: Callable[[str], None]) -> tuple[Retrieval, list[str]]:
    """The service, and warnings on what had to be left out. `enter` is told each phase.

    Raises FileNotFoundError without the encoder's model, NothingToSearch without a whole segment.
    """
    card = base.describe(settings.encoder, candor_home())
    enter("checking the datastores")
    datastores = open_datastores(settings.datastores(), card)
    warnings = [warning for datastore in datastores for warning in datastore.warnings]
    if not any(datastore.segments for datastore in datastores):
        what = "; ".join(["there is nothing to search: run `candor data build`", *warnings])
        raise NothingToSearch(what)
    enter("loading the encoder")
    encoder = SerialEncoder(base.load(card, threads=cores()))
    encoder.encode(["The first text takes longer than those after it."])
    try:
        registered = [owner.id for owner in load_owners()]
    except BadRegistry as error:
        registered = []
        warnings.append(f"no registry of owners: {error}")
    return Retrieval(encoder, datastores, registered), warnings
