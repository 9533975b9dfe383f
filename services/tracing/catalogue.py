"""The corpora that are loaded, and which of them a request may search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.tracing.errors import OwnerNotPermitted, UnknownCorpus, UnknownDocument, UnknownOwner
from services.tracing.index.corpus import Corpus
from services.tracing.index.segment import Segment


@dataclass(frozen=True)
class Selection:
    """What a request searches: `segments[i]` is of `corpora[i]`. `absent` are owners asked for who have no corpus."""

    corpora: Sequence[Corpus]
    segments: Sequence[Segment]
    absent: Sequence[str]

    @property
    def owners(self) -> list[str]:
        """The owners whose corpora are searched, each once."""
        return list(dict.fromkeys(corpus.owner for corpus in self.corpora))

    @property
    def ids(self) -> list[str]:
        """The corpora that are searched, each once."""
        return list(dict.fromkeys(corpus.id for corpus in self.corpora))


class Catalogue:
    """The loaded corpora. `registered` are the owners there are, whether or not they have a corpus."""

    def __init__(self, corpora: Sequence[Corpus], registered: Sequence[str]) -> None:
        self.corpora = {corpus.id: corpus for corpus in corpora}
        self._owners = {corpus.owner for corpus in corpora}
        self._registered = self._owners | set(registered)

    def select(self, owners: Sequence[str] | None, corpora: Sequence[str] | None) -> Selection:
        """What may be searched for these owners; None means the public ones alone.

        Raises UnknownOwner, UnknownCorpus, and OwnerNotPermitted for a corpus of another owner.
        """
        permitted = self._permitted(owners)
        chosen = [corpus for corpus in self.corpora.values() if corpus.owner in permitted]
        if corpora is not None:
            named = [self.corpus(identity, permitted) for identity in corpora]
            chosen = [corpus for corpus in chosen if corpus in named]
        pairs = [(corpus, segment) for corpus in chosen for segment in corpus.segments]
        absent = sorted(set(owners or ()) - self._owners)
        return Selection([corpus for corpus, _ in pairs], [segment for _, segment in pairs], absent)

    def document(self, corpus: str, document: str, owners: Sequence[str] | None) -> tuple[Corpus, Segment, int]:
        """Where a document is. Raises as `select` does, and UnknownDocument."""
        holder = self.corpus(corpus, self._permitted(owners), field=None)
        for segment in holder.segments:
            if found := segment.find("id", document):
                return holder, segment, found[0]
        raise UnknownDocument(corpus, document)

    def corpus(self, identity: str, permitted: set[str], field: str | None = "corpora") -> Corpus:
        """A corpus of a permitted owner. Raises UnknownCorpus, OwnerNotPermitted."""
        if identity not in self.corpora:
            raise UnknownCorpus(identity, self.corpora, field)
        corpus = self.corpora[identity]
        if corpus.owner not in permitted:
            raise OwnerNotPermitted(identity, corpus.owner, field)
        return corpus

    def _permitted(self, owners: Sequence[str] | None) -> set[str]:
        if owners is None:
            return {corpus.owner for corpus in self.corpora.values() if corpus.manifest.public}
        for owner in owners:
            if owner not in self._registered:
                raise UnknownOwner(owner, self._registered)
        return set(owners)
