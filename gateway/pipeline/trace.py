"""Where the answer's words stand verbatim, in the corpora of the effective owners alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gateway.policy import Consent
from shared.clients.tracing import TracingClient
from shared.contracts.candor import ReadPassage, TraceOptions
from shared.contracts.openai import Message
from shared.contracts.tracing import PassageRead, Span, Trace, TraceRequest
from shared.http.errors import NotFound

_OPTIONS = {"corpora", "min_length", "max_count", "max_spans", "documents", "approximate"}
PASSAGES, CHARACTERS = 100, 100_000
"""What the tracing service takes of passages; in those past it spans are not looked for. Of a text, as many."""
CONVERSATION = "conversation"
"""All that was said, as if it were a passage; the id of a passage has a # in it."""
CONVERSATION_CHARACTERS = 50_000
"""Of a longer conversation its end is looked at."""


def check_corpora(options: TraceOptions, consent: Consent) -> None:
    """Raises NotFound if the request names a corpus that is not one of the effective owners', before any work."""
    known = [corpus for owner in consent.owners if owner.id in consent.effective for corpus in owner.corpora]
    for corpus in options.corpora or []:
        if corpus not in known:
            detail = f"There is no corpus {corpus!r} of the effective owners. Known: {', '.join(known)}."
            raise NotFound(detail, field="candor.trace.corpora")


def trace_request(
    text: str,
    question: str,
    messages: Sequence[Message],
    passages: Sequence[ReadPassage],
    options: TraceOptions,
) -> TraceRequest:
    """The question to the tracing service about an answer, with what the model read before it."""
    # no span crosses a newline, so that none is found across two messages
    said = "\n".join(message.text() for message in messages)[-CONVERSATION_CHARACTERS:]
    read = [PassageRead(id=passage.id, text=passage.text) for passage in passages]
    return TraceRequest(
        text=text,
        prompt=question,
        passages=[*_taken([PassageRead(id=CONVERSATION, text=said), *read])],
        **options.model_dump(include=_OPTIONS, exclude_none=True),
    )


async def trace(request: TraceRequest, consent: Consent, client: TracingClient) -> Trace:
    """The spans of a text. Raises ServiceError, ConsentNotApplied."""
    found = await client.trace(consent.limited(request))
    consent.check("tracing", found.named())
    found.spans = [_without_conversation(span) for span in found.spans]
    return found


def _without_conversation(span: Span) -> Span:
    """Earlier turns are of the prompt to whoever reads the answer."""
    if CONVERSATION not in span.in_passages:
        return span
    passages = [passage for passage in span.in_passages if passage != CONVERSATION]
    return span.model_copy(update={"in_prompt": True, "in_passages": passages})


def _taken(passages: Sequence[PassageRead]) -> Iterator[PassageRead]:
    characters = 0
    for passage in passages[:PASSAGES]:
        characters += len(passage.text) + 1
        if characters > CHARACTERS:
            return
        yield passage
