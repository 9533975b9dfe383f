"""Documents that are added to a service while it runs: what can be wrong with them, and with where they go."""

from __future__ import annotations

from collections.abc import Sequence
from errno import EACCES, EPERM, EROFS

from shared.contracts.retrieval import NewDocument
from shared.http.errors import InvalidRequest


class SameId(InvalidRequest):
    """Two documents of one request have the same id."""

    status, code = 422, "same_id"

    def __init__(self, place: int, identity: str) -> None:
        super().__init__(f"An earlier document of the request has the id {identity!r}.", field=f"documents.{place}.id")


class EmptyDocument(InvalidRequest):
    """A document is nothing but white space."""

    status, code = 422, "empty_document"

    def __init__(self, place: int) -> None:
        super().__init__(f"documents.{place}.text has no words.", field=f"documents.{place}.text")


def check_additions(documents: Sequence[NewDocument]) -> None:
    """Raises EmptyDocument, SameId."""
    seen: set[str] = set()
    for place, document in enumerate(documents):
        if not document.text.strip():
            raise EmptyDocument(place)
        if document.id in seen:
            raise SameId(place, document.id)
        seen.add(document.id)


def why_unwritable(error: OSError) -> str:
    """What file may not be written to, and what to do about it; any other error is raised again."""
    if error.errno not in (EACCES, EPERM, EROFS):
        raise error
    return f"{error.filename}: {error.strerror}; let the service's user write there, and try again"
