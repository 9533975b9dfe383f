"""What was deleted from a datastore: which owners, and how many documents of which others.

What is recorded here is deleted, whether or not its files are gone yet; and it is known what must be in the files that
say more, so that nothing comes back when one of them is lost.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.retrieval.datastore import tombstones
from services.retrieval.datastore.generation import RECORD, changing, recorded
from services.retrieval.datastore.tombstones import BadTombstones, Head, Tombstones
from shared.durable import replace


class BadDeletions(Exception):
    """It is not known what was deleted from a datastore, so that nothing of it may be shown."""

    def __init__(self, fault: str) -> None:
        super().__init__(
            f"{RECORD} {fault}, so that it is not known what was deleted: restore it from a copy, or remove the "
            "datastore's folder, build it anew and delete again what must not be in it"
        )


class Deletions(BaseModel):
    """deletions.json. `digest` is of the rest, as a check."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dropped: dict[str, int] = Field(default_factory=dict)
    """By owner dropped, the number of that among the owner's changes: nothing up to it counts, nor what is built of the
    owner's texts, until a build is told to restore the owner."""

    recode: bool = False
    """Whether an owner who was dropped may still be in LEANN's codebook."""

    documents: dict[str, Head] = Field(default_factory=dict)
    """By owner, how many deletions there are of single documents."""

    digest: str = ""

    def tombstones(self, datastore: Path, owner: str, before: Tombstones = tombstones.NONE) -> Tombstones:
        """The deletions of an owner's documents; those in `before` are not read again. Raises BadTombstones."""
        return tombstones.read(datastore, owner, self.documents.get(owner), before)

    def floor(self, owner: str) -> int:
        """The last change of an owner that does not count, since the owner was dropped by it; -1 without any. What is
        built of texts counts as change 0."""
        return self.dropped.get(owner, -1)

    def with_owner(self, owner: str, number: int, *, recode: bool) -> Deletions:
        """These, and an owner dropped now."""
        return self.model_copy(update={"dropped": {**self.dropped, owner: number}, "recode": self.recode or recode})

    def restored(self, owner: str) -> Deletions:
        """These, as if the owner had not been dropped."""
        return self.model_copy(update={"dropped": {name: at for name, at in self.dropped.items() if name != owner}})

    def write(self, datastore: Path) -> None:
        """Write them so that a reader sees the old ones or the new ones, whole; they are on disk on return."""
        checked = self.model_copy(update={"digest": _digest(self)})
        replace(datastore / RECORD, checked.model_dump_json(indent=2).encode())


def read(datastore: Path) -> Deletions:
    """What was deleted from the datastore in a folder. Raises BadDeletions if that is not known."""
    known = recorded(datastore)  # before it is read: the first record of another process may come at any moment
    try:
        found = Deletions.model_validate_json((datastore / RECORD).read_bytes())
    except FileNotFoundError as error:
        if known:
            raise BadDeletions("is missing") from error
        return Deletions()
    except ValidationError as error:
        raise BadDeletions("is damaged") from error
    if found.digest != _digest(found):
        raise BadDeletions("is damaged")
    return found


def delete(datastore: Path, owner: str, identity: str, number: int) -> None:
    """Delete a document, as the change of its owner of this number. What it reads and writes does not grow with the
    deletions before it. Raises BadDeletions."""
    _append(datastore, read(datastore), owner, [(identity, number)])


def adopt(datastore: Path) -> None:
    """Take over what the earlier version recorded of each owner by itself, beside what was recorded since. Killed at
    any step, the next call finishes it: until then nothing of the owner is shown. What is damaged stays as it is.
    Raises BadDeletions."""
    owners = sorted(path.name for path in datastore.iterdir() if not path.name.startswith("."))
    for owner in owners:
        old = datastore / owner / tombstones.OLD
        if not old.exists():
            continue
        with changing(datastore):
            present = read(datastore)
            try:
                deleted = tombstones.earlier(datastore, owner, present.documents.get(owner))
            except BadTombstones:
                continue  # opening the datastore says so
            if deleted:
                _append(datastore, present, owner, deleted)
            old.unlink(missing_ok=True)


def _append(datastore: Path, present: Deletions, owner: str, deleted: Sequence[tuple[str, int]]) -> None:
    head = present.documents.get(owner)
    if head is None:  # before the file: one that is not recorded would pass for one whose record was lost
        head = Head()
        _with_head(present, owner, head).write(datastore)
    _with_head(present, owner, tombstones.append(datastore, owner, head, deleted)).write(datastore)


def _with_head(deletions: Deletions, owner: str, head: Head) -> Deletions:
    return deletions.model_copy(update={"documents": {**deletions.documents, owner: head}})


def _digest(deletions: Deletions) -> str:
    return hashlib.sha256(deletions.model_dump_json(exclude={"digest"}).encode()).hexdigest()
