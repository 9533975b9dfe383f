"""The engine behind the wire models: what a request searches, and what it is answered."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from services.tracing.catalogue import Catalogue, Selection
from services.tracing.errors import BadTokens, TextTooLong
from services.tracing.index.corpus import Corpus
from services.tracing.tokenizer import Ids, Tokenizer
from services.tracing.trace.documents import Occurrence, offset, sample, snippet
from services.tracing.trace.lookup import look_up_text, look_up_tokens
from services.tracing.trace.procedure import Options, TracedDocument, TracedSpan, trace
from services.tracing.trace.spans import Hits
from shared.contracts import tracing as wire
from shared.http.errors import InvalidRequest


class Tracer:
    """Answers the tracing service's requests. All methods compute, so callers run them in threads."""

    def __init__(
        self, catalogue: Catalogue, tokenizer: Tokenizer, warnings: Sequence[str], max_characters: int
    ) -> None:
        self._catalogue, self._tokenizer = catalogue, tokenizer
        self._warnings, self._limit = list(warnings), max_characters

    def trace(self, request: wire.TraceRequest) -> wire.Trace:
        """Raises UnknownOwner, UnknownCorpus, OwnerNotPermitted, TextTooLong, InvalidRequest."""
        self._check(request.text, "text")
        self._check(request.prompt, "prompt")
        selection = self._catalogue.select(request.owners, request.corpora)
        options = Options(
            min_length=request.min_length,
            max_count=request.max_count,
            max_spans=request.max_spans,
            documents=request.documents,
            context=request.context,
            seed=request.seed,
        )
        traced = trace(request.text, request.prompt, selection.segments, self._tokenizer, options)
        return wire.Trace(
            spans=[_span(span, request.text, selection) for span in traced.spans],
            tokens=traced.tokens,
            owners=selection.owners,
            corpora=selection.ids,
            timings=wire.TraceTimings(**{step: round(spent, 3) for step, spent in traced.milliseconds.items()}),
            warnings=self._about(selection),
        )

    def count(self, request: wire.CountRequest) -> wire.Count:
        """Raises as `trace` does, and BadTokens."""
        selection = self._catalogue.select(request.owners, request.corpora)
        ids, hits = self._look_up(request, selection)
        counts = dict.fromkeys(selection.ids, 0)
        for hit in hits:
            counts[selection.corpora[hit.segment].id] += hit.high - hit.low
        owner = {corpus.id: corpus.owner for corpus in selection.corpora}
        return wire.Count(
            count=sum(counts.values()),
            tokens=ids.tolist(),
            corpora=[wire.CorpusCount(corpus=one, owner=owner[one], count=count) for one, count in counts.items()],
            owners=selection.owners,
        )

    def find(self, request: wire.FindRequest) -> wire.Find:
        """Raises as `count` does."""
        selection = self._catalogue.select(request.owners, request.corpora)
        ids, hits = self._look_up(request, selection)
        matched = self._tokenizer.decode(ids)
        _check_characters(matched)
        drawn = sample(hits, selection.segments, request.limit, f"{request.seed}")
        drawn.sort(key=lambda occurrence: (occurrence.segment, occurrence.position))
        return wire.Find(
            count=sum(hit.high - hit.low for hit in hits),
            tokens=ids.tolist(),
            occurrences=[self._occurrence(one, matched, request.context, selection) for one in drawn],
            owners=selection.owners,
        )

    def corpora(self) -> wire.CorpusList:
        """Every loaded corpus."""
        return wire.CorpusList(
            data=[_corpus(corpus, self._tokenizer.name) for corpus in self._catalogue.corpora.values()],
            warnings=self._warnings,
        )

    def document(self, corpus: str, document: str, owners: Sequence[str] | None) -> wire.CorpusDocument:
        """A whole document. Raises UnknownCorpus, UnknownDocument, UnknownOwner, OwnerNotPermitted."""
        holder, segment, number = self._catalogue.document(corpus, document, owners)
        first, last = segment.bounds(number)
        return wire.CorpusDocument(
            **vars(segment.record(number)),
            corpus=holder.id,
            owner=holder.owner,
            text=self._tokenizer.decode(segment.index.tokens[first:last]).decode("utf-8"),
        )

    def _look_up(self, request: wire.CountRequest, selection: Selection) -> tuple[Ids, Sequence[Hits]]:
        if (request.text is None) == (request.tokens is None):
            raise InvalidRequest("Give either `text` or `tokens`.", field="text")
        if request.text is not None:
            self._check(request.text, "text")
            return look_up_text(request.text, selection.segments, self._tokenizer)
        tokens, size = request.tokens or [], self._tokenizer.size
        if len(tokens) > self._limit:
            raise TextTooLong("tokens", len(tokens), self._limit, "ids")
        if max(tokens) >= size:
            raise BadTokens(f"There is no token {max(tokens)}: the ids of {self._tokenizer.name} end at {size - 1}.")
        ids = np.array(tokens, dtype=self._tokenizer.dtype)
        return ids, look_up_tokens(ids, selection.segments)

    def _occurrence(
        self, occurrence: Occurrence, matched: bytes, context: int, selection: Selection
    ) -> wire.Occurrence:
        segment, corpus = selection.segments[occurrence.segment], selection.corpora[occurrence.segment]
        around = snippet(segment, occurrence, matched, context, self._tokenizer)
        start = offset(segment, occurrence, matched, self._tokenizer)
        return wire.Occurrence(
            **vars(segment.record(occurrence.document)),
            corpus=corpus.id,
            owner=corpus.owner,
            start=start,
            end=start + around.end - around.start,
            snippet=around.text,
            match_start=around.start,
            match_end=around.end,
        )

    def _check(self, text: str, field: str) -> None:
        if len(text) > self._limit:
            raise TextTooLong(field, len(text), self._limit)
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            detail = f"{field} has half of a surrogate pair at {error.start}: it is not valid Unicode."
            raise InvalidRequest(detail, field=field) from error

    def _about(self, selection: Selection) -> list[str]:
        """What a reader of a trace should know: owners without a corpus, and parts of corpora that did not load."""
        missing = [f"owner {owner}: no corpus is loaded; nothing of it was searched" for owner in selection.absent]
        of_these = tuple(f"corpus {identity}:" for identity in [*selection.ids, *selection.absent])
        return missing + [warning for warning in self._warnings if warning.startswith(of_these)]


def _span(span: TracedSpan, text: str, selection: Selection) -> wire.Span:
    return wire.Span(
        start=span.start,
        end=span.end,
        text=text[span.start : span.end],
        length=span.length,
        count=span.count,
        relevance=span.relevance,
        owners=list(dict.fromkeys(selection.corpora[segment].owner for segment in span.segments)),
        documents=[_document(document, selection) for document in span.documents],
    )


def _document(document: TracedDocument, selection: Selection) -> wire.TracedDocument:
    at = document.occurrence
    corpus = selection.corpora[at.segment]
    return wire.TracedDocument(
        **vars(selection.segments[at.segment].record(at.document)),
        corpus=corpus.id,
        owner=corpus.owner,
        snippet=document.snippet.text,
        match_start=document.snippet.start,
        match_end=document.snippet.end,
        score=round(document.score, 3),
        relevance=document.relevance,
    )


def _corpus(corpus: Corpus, tokenizer: str) -> wire.Corpus:
    return wire.Corpus(
        id=corpus.id,
        owner=corpus.owner,
        public=corpus.manifest.public,
        licence=corpus.manifest.licence,
        documents=sum(segment.manifest.documents for segment in corpus.segments),
        tokens=sum(segment.manifest.tokens for segment in corpus.segments),
        segments=len(corpus.segments),
        bytes=sum(segment.bytes for segment in corpus.segments),
        tokenizer=tokenizer,
    )


def _check_characters(matched: bytes) -> None:
    try:
        matched.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadTokens("The tokens begin or end inside a character: they can be counted, but not shown.") from error
