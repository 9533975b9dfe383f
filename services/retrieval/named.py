"""The datastore that a request names."""

from __future__ import annotations

from services.retrieval.datastore.catalogue import Catalogue
from services.retrieval.datastore.opened import Datastore
from services.retrieval.errors import UnknownDatastore


def named(catalogue: Catalogue, name: str) -> Datastore:
    """As it is now. Raises UnknownDatastore."""
    found = catalogue.get(name)
    if found is None:
        raise UnknownDatastore(name, [datastore.id for datastore in catalogue.all()])
    return found
