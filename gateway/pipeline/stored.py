"""A stored trace as it may be shown now."""

from __future__ import annotations

from shared.clients.tracing import TracingClient
from shared.contracts.corpora import NamedDocument, WhichShown
from shared.contracts.gateway import StoredTrace
from shared.contracts.tracing import ApproximateSpan, Match, TracedDocument


async def still_shown(stored: StoredTrace, tracing: TracingClient) -> StoredTrace:
    """The trace without documents that were deleted or blocked since: what spans say of them was theirs to take back.

    A span keeps its count and its owners, which are those of then. Raises ServiceError: unasked, nothing is shown.
    """
    trace = stored.trace
    matches = (match for span in trace.spans for match in span.documents)
    named: list[Match | TracedDocument | ApproximateSpan] = [*trace.documents, *trace.approximate, *matches]
    if not named:
        return stored
    owners = sorted({document.owner for document in named})
    asked = WhichShown(documents=list(dict.fromkeys(map(_named, named))), owners=owners)
    there = {*(await tracing.shown(asked)).documents}
    spans = [
        span.model_copy(update={"documents": [match for match in span.documents if _named(match) in there]})
        for span in trace.spans
    ]
    shown = {
        "spans": spans,
        "documents": [document for document in trace.documents if _named(document) in there],
        "approximate": [span for span in trace.approximate if _named(span) in there],
    }
    return stored.model_copy(update={"trace": trace.model_copy(update=shown)})


def _named(document: Match | TracedDocument | ApproximateSpan) -> NamedDocument:
    return NamedDocument(corpus=document.corpus, id=document.id)
