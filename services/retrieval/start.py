"""Loading the encoder and opening the datastores, before the service says that it is ready."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from services.retrieval.changes import Changes
from services.retrieval.datastore.catalogue import Catalogue
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

_EMPTY = "datastore {} has nothing to search: run `candor data build`, or add documents"


class NothingToSearch(Exception):
    """There is no datastore. The message says what to do."""


@dataclass(frozen=True)
class Started:
    """What searches, what changes the datastores, what puts the language model around a search, and warnings on what
    had to be left out."""

    service: Retrieval
    changes: Changes
    assistant: Assistant
    warnings: list[str]
    check: Callable[[], list[str]]
    """Reads all files to their ends; warnings on what is damaged, which is left out from then on."""


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
    warnings = [*(one for name in names for one in published.warnings(name))]
    warnings += [one for datastore in datastores for one in datastore.warnings]
    warnings += [_EMPTY.format(datastore.id) for datastore in datastores if not datastore.segments]
    enter("loading the encoder")
    encoder = SerialEncoder(base.load(card, threads=cores()))
    for each in (encoder, *map(second, exact)):
        each.encode(["The first text takes longer than those after it."])
    try:
        registered = {owner.id: owner for owner in load_owners()}
    except BadRegistry as error:
        registered = {}
        warnings.append(f"no registry of owners: {error}")
    changes = Changes(catalogue, Writer(settings.datastores(), catalogue, encoder, second), registered)
    assistant = Assistant(LanguageModel(ModelClient(settings.model_url), registered))
    service = Retrieval(encoder, catalogue, registered, second)
    return Started(service, changes, assistant, warnings, catalogue.check)
