"""The pipeline, top to bottom: consent, retrieve, generate, verify, aggregate, cite, trace, ledger."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from gateway.pipeline.account import account
from gateway.pipeline.choose import Chosen, choose, sample
from gateway.pipeline.cite import Marked
from gateway.pipeline.options import trace_of
from gateway.pipeline.prepare import Prepared, prepare
from gateway.pipeline.run import Run
from gateway.pipeline.sample import Samples
from gateway.pipeline.trace import trace, trace_request
from gateway.services import Services
from shared.contracts.candor import AnswerTrace, CandorReport, ChatRequest, Sample
from shared.contracts.gateway import LedgerRecord, StoredTrace
from shared.http.request_id import request_id


@dataclass(frozen=True)
class Answer:
    """All of it."""

    prepared: Prepared
    samples: Samples
    chosen: Chosen
    report: CandorReport


async def answer(chat: ChatRequest, services: Services) -> Answer:
    """A question's answer and its sources. Raises CandorError."""
    run = start(chat)
    prepared = await prepare(chat, services, run)
    samples = await sample(prepared, services, run)
    chosen = await choose(prepared, samples, run)
    return Answer(prepared, samples, chosen, await report(prepared, samples, chosen, services, run))


def start(chat: ChatRequest) -> Run:
    """The clock of a request, and the warnings it begins with."""
    unknown = [f"The field {name!r} is not supported and was ignored." for name in chat.unknown()]
    return Run(strict=chat.candor.strict, warnings=unknown)


async def report(prepared: Prepared, samples: Samples, chosen: Chosen, services: Services, run: Run) -> CandorReport:
    """Trace the answer, sum up who took part, and keep both. Raises StageFailed, ConsentNotApplied."""
    traced = await _traced(prepared, chosen.choices[0], services, run)
    asked, spans = prepared.ask, traced.spans if traced else []
    entries = account(prepared.consent, asked.request.candor.experts, asked.passages, samples, spans)
    owners = prepared.consent.applied()
    record = LedgerRecord(
        id=prepared.id,
        request_id=request_id(),
        created=prepared.created,
        model=prepared.chat.model,
        owners=owners,
        entries=entries,
    )
    stored = StoredTrace(id=traced.id, text=chosen.choices[0].text, trace=traced) if traced else None
    await run.optional("ledger", services.ledger.record(record, stored), None)
    return CandorReport(
        id=prepared.id,
        owners=owners,
        rewrite=prepared.rewrite,
        passages=[*prepared.ask.passages],
        samples=_samples(samples, chosen),
        winner=chosen.vote.winner,
        tokens_saved=samples.saved,
        trace=traced,
        ledger=entries,
        timings=run.timings(),
        failed=run.failed,
        warnings=run.warnings,
    )


async def _traced(prepared: Prepared, marked: Marked, services: Services, run: Run) -> AnswerTrace | None:
    tracing = trace_of(prepared.options)
    if tracing is None or not marked.plain:
        return None
    said, passages = prepared.chat.messages, prepared.ask.passages
    request = trace_request(marked.plain, prepared.question, said, passages, tracing)
    found = await run.optional("trace", trace(request, prepared.consent, services.tracing), None)
    if found is None:
        return None
    run.warnings += found.warnings
    return AnswerTrace(
        id="trace-" + secrets.token_hex(12),
        corpora=found.corpora,
        spans=marked.moved(found.spans),
        documents=found.documents,
        approximate=marked.moved_nearly(found.approximate),
    )


def _samples(samples: Samples, chosen: Chosen) -> list[Sample]:
    parts = zip(samples.drafts, chosen.texts, chosen.vote.answers, chosen.vote.votes, chosen.verified, strict=True)
    ended = [
        Sample(
            text=text,
            answer=short,
            confidence=draft.confidence,
            tokens=draft.tokens,
            finish_reason=draft.finish_reason,
            votes=votes,
            verified=verified,
            reasoning=draft.reasoning,
        )
        for draft, text, short, votes, verified in parts
    ]
    aborted = [
        Sample(text="", answer="", confidence=None, tokens=tokens, finish_reason="aborted", votes=0)
        for tokens in samples.aborted
    ]
    return [*ended, *aborted]
