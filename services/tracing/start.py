"""Opening the corpora and compiling the search, before the service says that it is ready."""

from __future__ import annotations

from collections.abc import Callable

from services.tracing.catalogue import Catalogue
from services.tracing.index.corpus import Corpus
from services.tracing.index.opening import open_corpora
from services.tracing.service import Tracer
from services.tracing.settings import TracingSettings
from services.tracing.tokenizer import Tokenizer
from services.tracing.trace.procedure import Options, trace
from shared.owners import BadRegistry, load_owners


class NothingToSearch(Exception):
    """There is no tokenizer or no corpus. The message says what to do."""


def start(settings: TracingSettings, enter: Callable[[str], None]) -> tuple[Tracer, list[str]]:
    """The service's tracer, and warnings on what had to be left out. Raises NothingToSearch.

    `enter` is told each phase.
    """
    file, folder = settings.tokenizer_file(), settings.corpora_folder()
    if not file.is_file():
        raise NothingToSearch(f"there is no tokenizer {file}: run `candor data pull`")
    tokenizer = Tokenizer(file)
    enter("checking the corpora")
    corpora, warnings = open_corpora(folder, tokenizer)
    if not corpora:
        raise NothingToSearch(f"there is no corpus in {folder}: run `candor data build`")
    if not any(corpus.segments for corpus in corpora):
        warnings.append(f"the corpora in {folder} are empty: nothing can be traced")
    enter("compiling the search")
    _warm(corpora, tokenizer)
    try:
        registered = [owner.id for owner in load_owners()]
    except BadRegistry as error:
        registered = []
        warnings.append(f"no registry of owners: {error}")
    return Tracer(Catalogue(corpora, registered), tokenizer, warnings, settings.max_characters), warnings


def _warm(corpora: list[Corpus], tokenizer: Tokenizer) -> None:
    """Trace the first words of a corpus: compiles every function, or loads it from the cache beside its source."""
    segment = next((segment for corpus in corpora for segment in corpus.segments), None)
    if segment is None:
        return
    first, last = segment.bounds(0)
    words = tokenizer.decode(segment.index.tokens[first : min(last, first + 40)]).decode("utf-8", "ignore")
    trace(words, words, [segment], tokenizer, Options())
