"""A datastore as it was opened."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from services.retrieval.datastore.documents import Document
from services.retrieval.datastore.layout import Layout
from services.retrieval.datastore.notice import Notice
from services.retrieval.datastore.segment import Segment
from services.retrieval.datastore.tombstones import Tombstones
from services.retrieval.leann.codebook import Codebook


@dataclass(frozen=True)
class Datastore:
    """The whole segments of a datastore in order of owner and name, its codebook, and notices of what is left out.

    It does not change: a change on disk makes another one.
    """

    id: str
    segments: list[Segment]
    codebook: Codebook | None
    notices: list[Notice]
    generation: bytes
    layout: Layout = field(default_factory=Layout)
    tombstones: Mapping[str, Tombstones] = field(default_factory=dict)
    """By owner, as far as they could be read."""

    @property
    def warnings(self) -> list[str]:
        """The texts of all notices, for who may read of every owner."""
        return [notice.text for notice in self.notices]

    @property
    def owners(self) -> list[str]:
        """Owners of at least one segment."""
        return list(dict.fromkeys(segment.manifest.owner for segment in self.segments))

    @property
    def public(self) -> list[str]:
        """Owners whose data anyone may read: all their segments say so."""
        private = {segment.manifest.owner for segment in self.segments if not segment.manifest.public}
        return [owner for owner in self.owners if owner not in private]

    def of(self, owners: Collection[str]) -> list[Segment]:
        """The segments of these owners."""
        return [segment for segment in self.segments if segment.manifest.owner in owners]

    def document(self, identity: str, owners: Collection[str]) -> tuple[Segment, Document] | None:
        """A document of one of these owners with its segment, or None."""
        for segment in self.of(owners):
            if document := segment.document(identity):
                return segment, document
        return None
