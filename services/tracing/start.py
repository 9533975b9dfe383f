"""Opening the corpora and compiling the search, before the service says that it is ready."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from services.tracing.approximate.match import approximate
from services.tracing.approximate.opened import WordIndexes
from services.tracing.catalogue import Catalogue
from services.tracing.changes import Changes
from services.tracing.index.opening import Opened
from services.tracing.index.writer import Writer
from services.tracing.service import Tracer
from services.tracing.settings import TracingSettings
from services.tracing.tokenizer import Tokenizer
from services.tracing.trace.procedure import Options, trace
from shared.owners import BadRegistry, load_owners


class NothingToSearch(Exception):
    """There is no tokenizer or no corpus. The message says what to do."""


@dataclass(frozen=True)
class Started:
    """What answers requests and what makes changes; `warnings` on what stays as it is while the service runs."""

    tracer: Tracer
    changes: Changes
    warnings: list[str]


def start(settings: TracingSettings, enter: Callable[[str], None]) -> Started:
    """Open all there is. Raises NothingToSearch. `enter` is told each phase."""
    file, folder = settings.tokenizer_file(), settings.corpora_folder()
    if file is not None and not file.is_file():
        raise NothingToSearch(f"there is no tokenizer {file}: run `candor data pull`")
    tokenizer, warnings = Tokenizer(file), []
    try:
        registered = [owner.id for owner in load_owners()]
    except BadRegistry as error:
        registered = []
        warnings.append(f"no registry of owners: {error}")
    enter("checking the corpora")
    catalogue = Catalogue(folder, tokenizer, registered, settings.blocked)
    corpora = catalogue.all()
    if not corpora:
        faults = "; ".join(catalogue.faults())
        raise NothingToSearch(f"there is no corpus in {folder}: run `candor data build`{f' ({faults})' * bool(faults)}")
    enter("compiling the search")
    _warm(corpora)
    changes = Changes(catalogue, Writer(folder, tokenizer, catalogue.look), tokenizer)
    changes.resume()
    return Started(Tracer(catalogue, tokenizer, settings.max_characters), changes, warnings)


def _warm(corpora: list[Opened]) -> None:
    """Trace the first words of a corpus: compiles every function, or loads it from the cache beside its source."""
    segment = next((segment for corpus in corpora for segment in corpus.corpus.segments), None)
    if segment is None:
        return
    first, last = segment.bounds(0)
    tokens = segment.index.tokens[first : min(last, first + 40)]
    words = segment.tokenizer.decode(tokens).decode("utf-8", "ignore")
    trace(words, words, [segment], segment.tokenizer, Options())
    segment.hiding(np.zeros(1, dtype=np.int64))
    indexes, _ = WordIndexes().of([segment])
    approximate(words, [(segment, index) for _, index in indexes], min_words=4, similarity=0.5, most=1)
