"""The engine behind /v1/count, /v1/find and /v1/ngram: how often runs of tokens stand, where, and what follows them."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

import numpy as np

from services.tracing.catalogue import Catalogue, Selection
from services.tracing.cnf import Found, find_all
from services.tracing.continuation import backed_off, continuation
from services.tracing.index.corpus import Corpus
from services.tracing.request import check_characters, check_text, check_tokens
from services.tracing.search.kernels import END
from services.tracing.tokenizer import Ids, Tokenizer
from services.tracing.trace.documents import Occurrence, offset, sample, snippet
from services.tracing.trace.lookup import look_up_text, look_up_tokens, spellings
from services.tracing.trace.spans import Hits
from services.tracing.trace.together import by_tokenizer
from shared.contracts import ngram as next_wire
from shared.contracts import tracing as wire
from shared.http.errors import InvalidRequest

MOST_PLACES = 1_000_000
"""Of the rarest clause so many places are looked at, in about a second; the rest is estimated, and said to be."""


class Counter:
    """Answers what is asked of runs of tokens. All methods compute, so callers run them in threads."""

    def __init__(self, catalogue: Catalogue, tokenizer: Tokenizer, max_characters: int) -> None:
        self._catalogue, self._tokenizer, self._limit = catalogue, tokenizer, max_characters

    def count(self, request: wire.CountRequest) -> wire.Count:
        """Raises UnknownOwner, UnknownCorpus, OwnerNotPermitted, TextTooLong, BadTokens, InvalidRequest."""
        selection = self._catalogue.select(request.owners, request.corpora)
        counts = dict.fromkeys(selection.ids, 0)
        if request.clauses is not None:
            everywhere = self._all(request, selection)
            ids, approximate = self._tokenizer.encode("").ids, everywhere.approximate
            found: Iterable[tuple[Corpus, int]] = zip(selection.corpora, everywhere.counts, strict=True)
        else:
            ids, hits = self._look_up(request, selection)
            approximate = False
            found = ((selection.corpora[hit.segment], hit.times) for hit in hits)
        for corpus, count in found:
            counts[corpus.id] += count
        owner = {corpus.id: corpus.owner for corpus in selection.corpora}
        return wire.Count(
            count=sum(counts.values()),
            approximate=approximate,
            tokens=ids.tolist(),
            corpora=[wire.CorpusCount(corpus=one, owner=owner[one], count=count) for one, count in counts.items()],
            owners=selection.owners,
        )

    def find(self, request: wire.FindRequest) -> wire.Find:
        """Raises as `count` does."""
        selection = self._catalogue.select(request.owners, request.corpora)
        if request.clauses is not None:
            return self._find_all(request, selection)
        ids, hits = self._look_up(request, selection)
        matched = request.text.encode() if request.text else self._tokenizer_of(selection).decode(ids)
        check_characters(matched)
        drawn = sample(hits, selection.segments, request.limit, f"{request.seed}")
        drawn.sort(key=lambda occurrence: (occurrence.segment, occurrence.position))
        return wire.Find(
            count=sum(hit.times for hit in hits),
            tokens=ids.tolist(),
            occurrences=[self._occurrence(one, matched, request.context, selection) for one in drawn],
            owners=selection.owners,
        )

    def next(self, request: next_wire.NgramRequest) -> next_wire.Ngram:
        """What follows. Raises as `count` does."""
        selection = self._catalogue.select(request.owners, request.corpora)
        _check_one_of(request)
        tokenizer = self._tokenizer_of(selection)
        if request.text is not None:
            check_text(request.text, "text", self._limit)
            spelt = spellings(request.text, tokenizer) if request.text else [check_tokens([], tokenizer, self._limit)]
        else:
            spelt = [check_tokens(request.tokens or [], tokenizer, self._limit)]
        if request.next is not None:
            check_tokens([request.next], tokenizer, self._limit)
        look_up = backed_off if request.back_off else continuation
        lengths = [ids.size if request.length is None else min(request.length, ids.size) for ids in spelt]
        looked = [
            (look_up(ids[ids.size - length :], selection.segments), ids)
            for ids, length in zip(spelt, lengths, strict=True)
        ]
        # with a space before the first word or without: whichever stands there at greater length, or more often
        found, ids = max(looked, key=lambda one: (one[0].context, one[0].count))
        listed = list(found.counts.items())[: request.limit]

        def token(identity: int, count: int) -> next_wire.NextToken:
            text = "" if identity == END else tokenizer.decode([identity]).decode("utf-8", "replace")
            share = count / found.count if found.count else 0.0
            return next_wire.NextToken(
                token=None if identity == END else identity, text=text, count=count, probability=share
            )

        return next_wire.Ngram(
            tokens=ids.tolist(),
            context=found.context,
            count=found.count,
            distinct=len(found.counts),
            data=[token(identity, count) for identity, count in listed],
            next=None if request.next is None else token(request.next, found.counts.get(request.next, 0)),
            owners=selection.owners,
            corpora=selection.ids,
        )

    def _find_all(self, request: wire.FindRequest, selection: Selection) -> wire.Find:
        found = self._all(request, selection)
        places = [
            (number, position, length)
            for number, (positions, lengths) in enumerate(zip(found.places, found.lengths, strict=True))
            for position, length in zip(positions.tolist(), lengths.tolist(), strict=True)
        ]
        drawn = sorted(random.Random(request.seed).sample(places, min(request.limit, len(places))))
        occurrences = []
        for number, position, length in drawn:
            segment = selection.segments[number]
            there = segment.tokenizer.decode(segment.index.tokens[position : position + length])
            occurrence = Occurrence(number, int(segment.documents_at(np.array([position]))[0]), position, length)
            # what was asked for is the text without the space before it
            matched = there.removeprefix(b" ")
            occurrences.append(self._occurrence(occurrence, matched, request.context, selection))
        return wire.Find(
            count=found.count,
            approximate=found.approximate,
            tokens=[],
            occurrences=occurrences,
            owners=selection.owners,
        )

    def _all(self, request: wire.CountRequest, selection: Selection) -> Found:
        if request.text is not None or request.tokens is not None:
            raise InvalidRequest("Give `clauses`, `text` or `tokens`, and one of them only.", field="clauses")
        for text in (text for clause in request.clauses or [] for text in clause):
            check_text(text, "clauses", self._limit)
        tokenizer = self._tokenizer_of(selection)
        clauses = [[ids for text in clause for ids in spellings(text, tokenizer)] for clause in request.clauses or []]
        return find_all(clauses, selection.segments, request.distance, MOST_PLACES)

    def _look_up(self, request: wire.CountRequest, selection: Selection) -> tuple[Ids, Sequence[Hits]]:
        _check_one_of(request)
        if request.text is not None:
            check_text(request.text, "text", self._limit)
            return self._look_up_text(request.text, selection)
        ids = check_tokens(request.tokens or [], self._tokenizer_of(selection), self._limit)
        return ids, look_up_tokens(ids, selection.segments)

    def _look_up_text(self, text: str, selection: Selection) -> tuple[Ids, Sequence[Hits]]:
        """The tokens by the first of the tokenizers, and the hits of all."""
        ids, found = self._tokenizer.encode("").ids, []
        for tokenizer, numbers in reversed(by_tokenizer(selection.segments)):
            ids, hits = look_up_text(text, [selection.segments[number] for number in numbers], tokenizer)
            found += [hit._replace(segment=numbers[hit.segment]) for hit in hits]
        return ids, sorted(found, key=lambda hit: hit.segment)

    def _tokenizer_of(self, selection: Selection) -> Tokenizer:
        """The one tokenizer of all that is searched. Raises InvalidRequest where there are several."""
        groups = by_tokenizer(selection.segments)
        if len(groups) > 1:
            names = ", ".join(tokenizer.name for tokenizer, _ in groups)
            detail = f"The corpora are of several tokenizers ({names}): name `corpora` of one."
            raise InvalidRequest(detail, field="corpora")
        return groups[0][0] if groups else self._tokenizer

    def _occurrence(
        self, occurrence: Occurrence, matched: bytes, context: int, selection: Selection
    ) -> wire.Occurrence:
        segment, corpus = selection.segments[occurrence.segment], selection.corpora[occurrence.segment]
        around = snippet(segment, occurrence, matched, context, segment.tokenizer)
        start = offset(segment, occurrence, matched, segment.tokenizer)
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


def _check_one_of(request: wire.CountRequest | next_wire.NgramRequest) -> None:
    if (request.text is None) == (request.tokens is None):
        raise InvalidRequest("Give either `text` or `tokens`.", field="text")
