"""The corpora that are loaded, as they are on disk now, and which of them a request may search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from services.tracing.errors import OwnerNotPermitted, UnknownCorpus, UnknownDocument, UnknownOwner
from services.tracing.index.blocked import BadBlockList, BlockList, Blocks
from services.tracing.index.corpus import Corpus
from services.tracing.index.log import BadCorpus
from services.tracing.index.opening import Opened, folders, open_corpus, signature
from services.tracing.index.segment import Segment
from services.tracing.index.stored import BadSegment
from services.tracing.tokenizer import Tokenizer
from shared.http.errors import NotReady


@dataclass(frozen=True)
class Selection:
    """What a request searches: `segments[i]` is of `corpora[i]`. `absent` are owners asked for who have no corpus.

    `warnings` are on what is left out of any corpus.
    """

    corpora: Sequence[Corpus]
    segments: Sequence[Segment]
    absent: Sequence[str]
    warnings: Sequence[str]

    @property
    def owners(self) -> list[str]:
        """The owners whose corpora are searched, each once."""
        return list(dict.fromkeys(corpus.owner for corpus in self.corpora))

    @property
    def ids(self) -> list[str]:
        """The corpora that are searched, each once."""
        return list(dict.fromkeys(corpus.id for corpus in self.corpora))


class Snapshot:
    """The corpora of one moment: they do not change. `registered` are the owners there are, also without a corpus."""

    def __init__(self, corpora: Sequence[Corpus], registered: Sequence[str], warnings: Sequence[str] = ()) -> None:
        self.corpora = {corpus.id: corpus for corpus in corpora}
        self.warnings = warnings
        self._owners = {corpus.owner for corpus in corpora}
        self._registered = self._owners | set(registered)

    def select(self, owners: Sequence[str] | None, corpora: Sequence[str] | None) -> Selection:
        """What may be searched for these owners; None means the public ones alone.

        Raises UnknownOwner, UnknownCorpus, and OwnerNotPermitted for a corpus of another owner.
        """
        permitted = self._permitted(owners)
        chosen = [corpus for corpus in self.corpora.values() if corpus.owner in permitted]
        if corpora is not None:
            named = {self.corpus(identity, permitted).id for identity in corpora}
            chosen = [corpus for corpus in chosen if corpus.id in named]
        pairs = [(corpus, segment) for corpus in chosen for segment in corpus.segments]
        absent = sorted(set(owners or ()) - self._owners)
        return Selection([corpus for corpus, _ in pairs], [segment for _, segment in pairs], absent, self.warnings)

    def document(self, corpus: str, document: str, owners: Sequence[str] | None) -> tuple[Corpus, Segment, int]:
        """Where a document is. Raises as `select` does, and UnknownDocument."""
        holder = self.corpus(corpus, self._permitted(owners), field=None)
        for segment in holder.segments:
            if found := segment.find("id", document):
                return holder, segment, found[0]
        raise UnknownDocument(corpus, document)

    def documents(self, corpus: str, owners: Sequence[str] | None) -> Corpus:
        """A corpus whose documents may be listed for these owners. Raises as `select` does."""
        return self.corpus(corpus, self._permitted(owners), field=None)

    def corpus(self, identity: str, permitted: set[str], field: str | None = "corpora") -> Corpus:
        """A corpus of a permitted owner. Raises UnknownCorpus, OwnerNotPermitted."""
        if identity not in self.corpora:
            known = [corpus.id for corpus in self.corpora.values() if corpus.owner in permitted]
            raise UnknownCorpus(identity, known, field)
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


@dataclass(frozen=True)
class _State:
    """All that is open: by folder the corpus, or why it could not be opened with what was then its manifest."""

    opened: Mapping[str, Opened] = field(default_factory=dict)
    faulty: Mapping[str, tuple[bytes, str]] = field(default_factory=dict)


class Catalogue:
    """Every corpus of a folder, opened anew when it has changed. Safe to use from several threads.

    A request takes `now` once and keeps it: what is changed meanwhile is in the next one's.
    """

    def __init__(
        self, root: Path, tokenizer: Tokenizer, registered: Sequence[str], blocked: Path | None = None
    ) -> None:
        self._root, self._tokenizer, self._registered = root, tokenizer, registered
        self._list = BlockList(blocked)
        self._opening = Lock()
        self._state = _State()
        self._shown: tuple[_State, Blocks, Snapshot] | None = None
        self._left: dict[str, tuple[Opened, Blocks, Corpus]] = {}

    def now(self) -> Snapshot:
        """The corpora as they are. Raises NotReady if it is not known which documents are blocked."""
        try:
            blocks = self._list.now()
        except BadBlockList as error:
            raise NotReady(f"The tracing service is not ready: {error}.") from error
        state = self._current()
        shown = self._shown
        if shown and shown[0] is state and shown[1] is blocks:
            return shown[2]
        with self._opening:
            shown_at_all = [one for one in state.opened.values() if not one.gone and (one.segments or not one.damaged)]
            left = {one.manifest.id: (one, blocks, self._without(one, blocks)) for one in shown_at_all}
            snapshot = Snapshot([corpus for _, _, corpus in left.values()], self._registered, _warnings(state))
            self._left = left
            self._shown = state, blocks, snapshot
        return snapshot

    def look(self, corpus: str) -> Opened:
        """One corpus as it is, blocked documents among it. Raises UnknownCorpus, BadCorpus."""
        state = self._current()
        if corpus in state.faulty:
            raise BadCorpus(state.faulty[corpus][1])
        if corpus not in state.opened:
            raise UnknownCorpus(corpus, state.opened, None)
        return state.opened[corpus]

    def all(self) -> list[Opened]:
        """Every corpus that could be opened, blocked documents among them."""
        return list(self._current().opened.values())

    def faults(self) -> list[str]:
        """On what is left out, and why."""
        return _warnings(self._current())

    def document(self, corpus: str, document: str, owners: Sequence[str] | None) -> tuple[Corpus, Segment, int]:
        """As Snapshot.document, of the corpora as they are now."""
        return self.now().document(corpus, document, owners)

    def select(self, owners: Sequence[str] | None, corpora: Sequence[str] | None) -> Selection:
        """As Snapshot.select, of the corpora as they are now."""
        return self.now().select(owners, corpora)

    def _without(self, opened: Opened, blocks: Blocks) -> Corpus:
        """What of a corpus is not blocked: nothing is looked for again where neither it nor the list has changed."""
        known = self._left.get(opened.manifest.id)
        return known[2] if known and known[0] is opened and known[1] is blocks else blocks.hide(opened.corpus)

    def _current(self) -> _State:
        there = {folder.name: signature(folder) for folder in folders(self._root)}
        if _signatures(self._state) == there:
            return self._state
        with self._opening:
            there = {folder.name: signature(folder) for folder in folders(self._root)}
            if _signatures(self._state) != there:
                self._state = self._opened(there)
            return self._state

    def _opened(self, there: Mapping[str, bytes]) -> _State:
        """The state with what has changed opened anew."""
        opened: dict[str, Opened] = {}
        faulty: dict[str, tuple[bytes, str]] = {}
        for name, content in there.items():
            before, fault = self._state.opened.get(name), self._state.faulty.get(name)
            if before and before.content == content:
                opened[name] = before
            elif fault and fault[0] == content:
                faulty[name] = fault
            else:
                try:
                    opened[name] = open_corpus(self._root / name, self._tokenizer, before)
                except (BadCorpus, BadSegment) as error:
                    faulty[name] = content, str(error)
        return _State(opened, faulty)


def _signatures(state: _State) -> dict[str, bytes]:
    return {
        **{name: opened.content for name, opened in state.opened.items()},
        **{name: content for name, (content, _) in state.faulty.items()},
    }


def _warnings(state: _State) -> list[str]:
    if not any(opened.corpus.segments for opened in state.opened.values()):
        return [*_faults(state), "the corpora are empty: nothing can be traced"]
    return _faults(state)


def _faults(state: _State) -> list[str]:
    faults = [f"corpus {name}: {fault}; left out" for name, (_, fault) in state.faulty.items()]
    return [*faults, *(warning for opened in state.opened.values() for warning in opened.warnings)]
