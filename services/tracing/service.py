"""The engine behind the wire models: what a request searches, and what it is answered."""

from __future__ import annotations

import time
from collections.abc import Sequence

from services.tracing.batch import count_each, trace_each
from services.tracing.catalogue import Catalogue, Selection
from services.tracing.counting import Counter
from services.tracing.index.corpus import Corpus
from services.tracing.index.segment import Segment
from services.tracing.nearly import Nearly
from services.tracing.request import check_characters, check_text
from services.tracing.tokenizer import Tokenizer
from services.tracing.told import WasRead, documents_of, fitted, spans_of
from services.tracing.trace.copied import Read
from services.tracing.trace.documents import Occurrence, snippet
from services.tracing.trace.procedure import Options
from services.tracing.trace.together import trace_all
from shared.contracts import corpora as documents_wire
from shared.contracts import tracing as wire
from shared.http.errors import InvalidRequest


class Tracer:
    """Answers the tracing service's requests. All methods compute, so callers run them in threads."""

    def __init__(self, catalogue: Catalogue, tokenizer: Tokenizer, max_characters: int) -> None:
        self._catalogue, self._tokenizer, self._limit = catalogue, tokenizer, max_characters
        self._nearly = Nearly()
        self.counter = Counter(catalogue, tokenizer, max_characters)

    @property
    def max_characters(self) -> int:
        """Code points of a text at most."""
        return self._limit

    def trace(self, request: wire.TraceRequest) -> wire.Trace:
        """Raises UnknownOwner, UnknownCorpus, OwnerNotPermitted, TextTooLong, InvalidRequest."""
        check_text(request.text, "text", self._limit)
        check_text(request.prompt, "prompt", self._limit)
        check_text("\n".join(passage.text for passage in request.passages), "passages", self._limit)
        check_text("\n".join(passage.id for passage in request.passages), "passages", self._limit)
        selection = self._catalogue.select(request.owners, request.corpora)
        options = Options(
            min_length=request.min_length,
            max_count=request.max_count,
            max_spans=request.max_spans,
            documents=request.documents,
            context=request.context,
            seed=request.seed,
            delimiters=request.delimiters,
            whole_words=request.whole_words,
        )
        traced = trace_all(request.text, request.prompt, selection.segments, self._tokenizer, options)
        passages = [(passage.id, Read(passage.text)) for passage in request.passages]
        documents = documents_of(traced.spans, selection)
        spent = dict(traced.milliseconds)
        nearly: list[wire.ApproximateSpan] = []
        missing: list[str] = []
        if request.approximate:
            began = time.perf_counter()
            nearly, missing = self._nearly.search(request, selection, traced.spans)
            spent["approximate"] = 1000 * (time.perf_counter() - began)
            spent["total"] += spent["approximate"]
        told = wire.Trace(
            spans=spans_of(traced.spans, request.text, selection, documents, WasRead(Read(request.prompt), passages)),
            documents=list(documents.values()),
            approximate=nearly,
            tokens=traced.tokens,
            owners=selection.owners,
            corpora=selection.ids,
            timings=wire.TraceTimings(**{step: round(milliseconds, 3) for step, milliseconds in spent.items()}),
            warnings=self._about(selection) + traced.warnings + missing,
        )
        return fitted(told)

    def traces(self, batch: wire.TraceBatch) -> wire.TraceList:
        """The trace of each item. Raises as `trace` does."""
        return trace_each(batch.items, self.trace, self._limit)

    def counts(self, batch: wire.CountBatch) -> wire.CountList:
        """The count of each item. Raises as `Counter.count` does."""
        return count_each(batch.items, self.counter.count, self._limit)

    def corpora(self) -> wire.CorpusList:
        """Every loaded corpus."""
        now = self._catalogue.now()
        return wire.CorpusList(
            data=[_corpus(corpus, self._tokenizer) for corpus in now.corpora.values()],
            warnings=list(now.warnings),
        )

    def documents(
        self, corpus: str, owners: Sequence[str] | None, offset: int, limit: int
    ) -> documents_wire.DocumentList:
        """A page of a corpus's documents. Raises UnknownCorpus, UnknownOwner, OwnerNotPermitted."""
        holder = self._catalogue.now().documents(corpus, owners)
        total = sum(segment.documents for segment in holder.segments)
        page: list[documents_wire.ListedDocument] = []
        skipped = offset
        for segment in holder.segments:
            alive = segment.alive()[skipped : skipped + limit - len(page)]
            page += [_listed(segment, document) for document in alive.tolist()]
            skipped = max(0, skipped - segment.documents)
        return documents_wire.DocumentList(data=page, offset=offset, total=total)

    def shown(self, request: documents_wire.WhichShown) -> documents_wire.ShownDocuments:
        """Which documents are there now. Raises UnknownOwner, and NotReady if nothing may be shown."""
        selection = self._catalogue.now().select(request.owners, None)
        there: dict[str, list[Segment]] = {}
        for corpus, segment in zip(selection.corpora, selection.segments, strict=True):
            there.setdefault(corpus.id, []).append(segment)
        found = [
            one
            for one in dict.fromkeys(request.documents)
            if any(segment.find("id", one.id) for segment in there.get(one.corpus, ()))
        ]
        return documents_wire.ShownDocuments(documents=found)

    def faults(self) -> list[str]:
        """On what is left out of any corpus now. Raises NotReady if nothing may be shown."""
        return list(self._catalogue.now().warnings)

    def document(self, corpus: str, document: str, owners: Sequence[str] | None) -> wire.CorpusDocument:
        """A whole document. Raises UnknownCorpus, UnknownDocument, UnknownOwner, OwnerNotPermitted."""
        holder, segment, number = self._catalogue.document(corpus, document, owners)
        return wire.CorpusDocument(
            **vars(segment.record(number)),
            corpus=holder.id,
            owner=holder.owner,
            text=segment.text(number),
        )

    def window(
        self, corpus: str, document: str, owners: Sequence[str] | None, place: wire.Place
    ) -> wire.CorpusDocument:
        """A place in a document, less a space before it, and what stands around it.

        Raises as `document` does, InvalidRequest, and BadTokens for a part of a character.
        """
        holder, segment, number = self._catalogue.document(corpus, document, owners)
        first, last = segment.bounds(number)
        if place.token + place.tokens > last - first:
            detail = f"The document has {last - first:,} tokens: not {place.tokens:,} from {place.token:,} on."
            raise InvalidRequest(detail, field="token")
        at = Occurrence(0, number, first + place.token, place.tokens)
        matched = segment.tokenizer.decode(segment.index.tokens[at.position : at.position + at.length])
        matched = matched.removeprefix(b" ")
        check_characters(matched)
        around = snippet(segment, at, matched, place.context, segment.tokenizer)
        return wire.CorpusDocument(
            **vars(segment.record(number)),
            corpus=holder.id,
            owner=holder.owner,
            text=around.text,
            match_start=around.start,
            match_end=around.end,
        )

    def _about(self, selection: Selection) -> list[str]:
        """What a reader of a trace should know: owners without a corpus, and parts of corpora that did not load."""
        missing = [f"owner {owner}: no corpus is loaded; nothing of it was searched" for owner in selection.absent]
        of_these = tuple(f"corpus {identity}:" for identity in [*selection.ids, *selection.absent])
        return missing + [warning for warning in selection.warnings if warning.startswith(of_these)]


def _listed(segment: Segment, document: int) -> documents_wire.ListedDocument:
    first, last = segment.bounds(document)
    return documents_wire.ListedDocument(**vars(segment.record(document)), tokens=last - first)


def _corpus(corpus: Corpus, default: Tokenizer) -> wire.Corpus:
    return wire.Corpus(
        id=corpus.id,
        owner=corpus.owner,
        public=corpus.manifest.public,
        licence=corpus.manifest.licence,
        documents=sum(segment.documents for segment in corpus.segments),
        tokens=sum(segment.tokens for segment in corpus.segments),
        segments=len(corpus.segments),
        bytes=sum(segment.bytes for segment in corpus.segments),
        tokenizer=(corpus.segments[0].tokenizer if corpus.segments else default).name,
    )
