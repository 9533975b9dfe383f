"""Adding and deleting documents and corpora, between the routes and the writer."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import structlog

from services.tracing.catalogue import Catalogue
from services.tracing.errors import NotWritable, UnknownCorpus, UnknownDocument
from services.tracing.index.log import BadCorpus
from services.tracing.index.records import Record
from services.tracing.index.writer import NotChangeable, Writer
from services.tracing.tokenizer import Tokenizer
from shared.contracts import corpora as wire
from shared.contracts.retrieval import NewDocument
from shared.http.additions import check_additions, why_unwritable

_log = structlog.get_logger()


class Changes:
    """Changes to the corpora, which are on disk and in every answer when a method returns. Every method blocks."""

    def __init__(self, catalogue: Catalogue, writer: Writer, tokenizer: Tokenizer) -> None:
        self._catalogue, self._writer, self._tokenizer = catalogue, writer, tokenizer
        self._behind = ThreadPoolExecutor(1, thread_name_prefix="merge")

    def resume(self) -> None:
        """Go on in the background with what was not finished when the last process ended."""
        for opened in self._catalogue.all():
            self._behind.submit(self._tidy, opened.manifest.id)

    def add(self, corpus: str, request: wire.AddToCorpus) -> wire.AddedToCorpus:
        """Add documents, in the place of those of the same ids."""
        check_additions(request.documents)
        with self._writing(corpus):
            manifest = self._catalogue.look(corpus).manifest
            records = [_record(document, manifest.licence) for document in request.documents]
            tokens = self._tokenizer.encode_many([document.text for document in request.documents])
            added = self._writer.add(corpus, list(zip(records, tokens, strict=True)))
        self._behind.submit(self._merge, corpus)
        return wire.AddedToCorpus(
            corpus=corpus,
            owner=manifest.owner,
            added=[record.id for record in records],
            replaced=added.ids,
            tokens=added.tokens,
        )

    def delete(self, corpus: str, document: str) -> wire.DeletedFromCorpora:
        """Delete a document."""
        with self._writing(corpus):
            if not self._writer.delete(corpus, document):
                raise UnknownDocument(corpus, document)
        self._behind.submit(self._merge, corpus)
        return wire.DeletedFromCorpora(id=document, object="document")

    def drop(self, corpus: str) -> wire.DeletedFromCorpora:
        """Delete a corpus with all its files."""
        with self._writing(corpus):
            if not self._writer.drop(corpus):
                raise UnknownCorpus(corpus, self._catalogue.now().corpora, None)
        return wire.DeletedFromCorpora(id=corpus, object="corpus")

    def close(self) -> None:
        """Let the merge under way end; what is left to merge is merged after the next start."""
        self._behind.shutdown(wait=True, cancel_futures=True)

    @contextmanager
    def _writing(self, corpus: str) -> Iterator[None]:
        """Say what is wrong with the corpus's files, and what to do, if it is not the request that is."""
        try:
            yield
        except (BadCorpus, NotChangeable) as error:
            raise NotWritable(corpus, str(error)) from error
        except OSError as error:
            raise NotWritable(corpus, why_unwritable(error)) from error

    def _tidy(self, corpus: str) -> None:
        try:
            self._writer.resume(corpus)
        except Exception:  # nothing is shown of what is left: the next start tries again
            _log.exception("what was left unfinished could not be removed", corpus=corpus)
        self._merge(corpus)

    def _merge(self, corpus: str) -> None:
        try:
            self._writer.merge(corpus)
        except NotChangeable:
            return
        except Exception:  # nothing is lost by it: the next change tries again
            _log.exception("additions could not be merged", corpus=corpus)


def _record(document: NewDocument, licence: str) -> Record:
    return Record(
        id=document.id,
        title=document.title,
        source=document.source,
        licence=document.licence or licence,
        url=document.url,
        sha256=hashlib.sha256(document.text.encode()).hexdigest(),
        metadata=dict(document.metadata),
    )
