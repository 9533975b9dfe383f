"""Where the answer's words stand verbatim, in the corpora of the effective owners alone."""

from __future__ import annotations

from gateway.policy import Consent
from shared.clients.tracing import TracingClient
from shared.contracts.candor import TraceOptions
from shared.contracts.tracing import Trace, TraceRequest
from shared.http.errors import NotFound

_OPTIONS = {"corpora", "min_length", "max_count", "max_spans", "documents"}


def check_corpora(options: TraceOptions, consent: Consent) -> None:
    """Raises NotFound if the request names a corpus that is not one of the effective owners', before any work."""
    known = [corpus for owner in consent.owners if owner.id in consent.effective for corpus in owner.corpora]
    for corpus in options.corpora or []:
        if corpus not in known:
            detail = f"There is no corpus {corpus!r} of the effective owners. Known: {', '.join(known)}."
            raise NotFound(detail, field="candor.trace.corpora")


async def trace(text: str, question: str, options: TraceOptions, consent: Consent, client: TracingClient) -> Trace:
    """The spans of a text. Raises ServiceError, ConsentNotApplied."""
    request = TraceRequest(
        text=text,
        prompt=question,
        owners=[*consent.effective],
        **options.model_dump(include=_OPTIONS, exclude_none=True),
    )
    found = await client.trace(request)
    consent.check("tracing", found.named())
    return found
