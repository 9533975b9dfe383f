"""Loading the encoder and opening the datastores, before the service says that it is ready."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Event

import numpy as np

from services.retrieval.bm25 import search as bm25
from services.retrieval.changes import Changes
from services.retrieval.datastore.catalogue import Catalogue
from services.retrieval.datastore.opened import Datastore
from services.retrieval.datastore.writer import Writer
from services.retrieval.encoders import base, published
from services.retrieval.encoders.serial import SerialEncoder
from services.retrieval.language.assisted import Assistant
from services.retrieval.language.model import LanguageModel
from services.retrieval.second import SecondEncoders
from services.retrieval.service import Retrieval
from services.retrieval.settings import RetrievalSettings
from shared.clients.model import ModelClient
from shared.owners import BadRegistry, load_owners
from shared.settings import candor_home, cores

_FIRST = "The first text takes longer than those after it."


class NothingToSearch(Exception):
    """There is no datastore. The message says what to do."""


@dataclass(frozen=True)
class Started:
    """What searches, what changes the datastores, what puts the language model around a search, and warnings that stay
    true while it runs."""

    service: Retrieval
    changes: Changes
    assistant: Assistant
    warnings: list[str]
    left_out: Callable[[], list[str]]
    """Warnings on what is left out of the datastores as they are now."""
    check: Callable[[Event], list[str]]
    """Reads all files to their ends, until the event; what is damaged is left out from then on."""


def start(settings: RetrievalSettings, enter: Callable[[str], None]) -> Started:
    """Start the service. `enter` is told each phase.

    Raises FileNotFoundError without the encoder's model, NothingToSearch without any datastore.
    """
    card = base.describe(settings.encoder, candor_home())
    enter("checking the datastores")
    second = SecondEncoders(candor_home(), cores())
    catalogue = Catalogue(settings.datastores(), card, second.usable)
    datastores = catalogue.all()
    if not datastores:
        raise NothingToSearch("there is nothing to search: run `candor data build`")
    exact = [datastore.layout.exact for datastore in datastores if datastore.layout.exact and datastore.segments]
    names = dict.fromkeys([card.name, *(stamp.name for stamp in exact)])
    warnings = [warning for name in names for warning in published.warnings(name)]
    enter("loading the encoder")
    encoder = SerialEncoder(base.load(card, threads=cores()))
    for each in (encoder, *map(second, exact)):
        each.encode([_FIRST])
    _compile(datastores)
    try:
        registered = {owner.id: owner for owner in load_owners()}
    except BadRegistry as error:
        registered = {}
        warnings.append(f"no registry of owners: {error}")
    changes = Changes(catalogue, Writer(settings.datastores(), catalogue, encoder, second), registered)
    assistant = Assistant(LanguageModel(ModelClient(settings.model_url), registered))
    service = Retrieval(encoder, catalogue, registered, second)
    return Started(service, changes, assistant, warnings, catalogue.warnings, catalogue.check)


def _compile(datastores: Sequence[Datastore]) -> None:
    """What numba compiles at its first call takes seconds, of a new checkout or a container without its cache."""
    for segment in [segment for datastore in datastores for segment in datastore.segments][:1]:
        bm25.search([segment.postings], [_FIRST], 1)
        bm25.search([segment.postings], [_FIRST], 1, [np.ones(segment.manifest.passages, bool)])
