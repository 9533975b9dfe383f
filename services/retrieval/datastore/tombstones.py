"""Which documents of an owner were deleted, and when: what hides them until their texts are gone from the segments."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.retrieval.datastore.durable import replace

FILE = "tombstones.json"


class BadTombstones(Exception):
    """It is not known what an owner has deleted, so that nothing of the owner's may be shown."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"{folder.name}/{FILE} is damaged, so that it is not known which documents were deleted")


class Tombstones(BaseModel):
    """By id, the number of the deletion among the owner's changes: it holds for what was there before. `digest` is of
    them all, as a check."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    documents: dict[str, int] = Field(default_factory=dict)
    digest: str = ""

    def and_of(self, identity: str, number: int) -> Tombstones:
        """These, and that of a document deleted now."""
        documents = {**self.documents, identity: number}
        return Tombstones(documents=documents, digest=_digest(documents))

    def write(self, folder: Path) -> None:
        """Write them so that a reader sees the old ones or the new ones, whole; they are on disk on return."""
        replace(folder / FILE, self.model_dump_json().encode())


def read(folder: Path) -> Tombstones:
    """Those of an owner's folder; none without a file. Raises BadTombstones."""
    try:
        found = Tombstones.model_validate_json((folder / FILE).read_bytes())
    except FileNotFoundError:
        return Tombstones()
    except ValidationError as error:
        raise BadTombstones(folder) from error
    if found.digest != _digest(found.documents):
        raise BadTombstones(folder)
    return found


def _digest(documents: dict[str, int]) -> str:
    return hashlib.sha256(json.dumps(documents).encode()).hexdigest()
