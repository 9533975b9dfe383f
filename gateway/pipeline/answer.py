"""The pipeline, top to bottom: consent, retrieve, generate, aggregate, cite, trace, ledger."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.pipeline.account import account
from gateway.pipeline.aggregate import Vote, aggregate
from gateway.pipeline.ask import Ask, ask
from gateway.pipeline.cite import Marked, at_end, cite, mark, without_heading, without_markers
from gateway.pipeline.generate import generate
from gateway.pipeline.options import options, retrieval_of, trace_of
from gateway.pipeline.prompt import question, search_query
from gateway.pipeline.retrieve import Retrieved, retrieve
from gateway.pipeline.run import Run
from gateway.pipeline.sample import Samples
from gateway.pipeline.trace import check_corpora, trace, trace_request
from gateway.policy import Consent
from gateway.services import Services
from shared.contracts.candor import AnswerTrace, CandorOptions, CandorReport, ChatRequest, Sample
from shared.contracts.gateway import LedgerRecord, StoredTrace
from shared.http.request_id import request_id


@dataclass(frozen=True)
class Prepared:
    """A valid request with its consent, its passages and the question to the model."""

    id: str
    created: int
    chat: ChatRequest
    options: CandorOptions
    consent: Consent
    question: str
    rewrite: str | None
    ask: Ask


@dataclass(frozen=True)
class Chosen:
    """The vote, every sample's text, and the texts of the n choices with their citations, the answer first."""

    vote: Vote
    texts: tuple[str, ...]
    choices: tuple[Marked, ...]


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
    with run.needed("generate"):
        samples = await generate(prepared.ask, prepared.consent, services.model)
    with run.timed("aggregate"):
        chosen = choose(prepared, samples)
    return Answer(prepared, samples, chosen, await report(prepared, samples, chosen, services, run))


def start(chat: ChatRequest) -> Run:
    """The clock of a request, and the warnings it begins with."""
    unknown = [f"The field {name!r} is not supported and was ignored." for name in chat.unknown()]
    return Run(strict=chat.candor.strict, warnings=unknown)


async def prepare(chat: ChatRequest, services: Services, run: Run) -> Prepared:
    """Everything before the first token. Raises CandorError for what is wrong with the request."""
    with run.timed("policy"):
        chosen = options(chat)
        asked = question(chat.messages)
        consent = services.policy.effective(chosen.owners)
        if (tracing := trace_of(chosen)) is not None:
            check_corpora(tracing, consent)
    retrieved = Retrieved()
    if (reading := retrieval_of(chosen)) is not None:
        search = retrieve(search_query(chat.messages), reading, consent, services.retrieval)
        retrieved = await run.optional("retrieve", search, retrieved)
        for part in retrieved.failed:
            run.missing(part.stage, part.error)
        run.add(retrieved.spent)
    passages = retrieved.passages
    with run.needed("generate"):
        served = await services.served.now()
    with run.timed("policy"):
        put = ask(chat, chosen.sampling, passages, consent, served)
    if len(put.passages) < len(passages):
        run.warnings.append(f"Only {len(put.passages)} of {len(passages)} passages fit into the model's context.")
    return Prepared(
        "chatcmpl-" + secrets.token_hex(12), int(time.time()), chat, chosen, consent, asked, retrieved.rewrite, put
    )


def choose(prepared: Prepared, samples: Samples, *, streamed: bool = False) -> Chosen:
    """Vote, and cite. Markers of a text that was `streamed` already can only stand at its end."""
    passages = prepared.ask.passages
    texts = tuple(without_markers(draft.text, len(passages)).strip() for draft in samples.drafts)
    if not streamed:
        texts = tuple(without_heading(text) for text in texts)
    confidences = [draft.confidence for draft in samples.drafts]
    vote = aggregate(texts, confidences, prepared.question, prepared.options.sampling.aggregate)
    choices = []
    for index in vote.order[: prepared.chat.n]:
        citations = cite(texts[index], prepared.question, passages)
        choices.append(mark(texts[index], at_end(citations, texts[index]) if streamed else citations))
    return Chosen(vote, texts, tuple(choices))


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
    parts: Sequence[tuple[str, str, float]] = list(
        zip(chosen.texts, chosen.vote.answers, chosen.vote.votes, strict=True)
    )
    return [
        Sample(
            text=text,
            answer=short,
            confidence=draft.confidence,
            tokens=draft.tokens,
            finish_reason=draft.finish_reason,
            votes=votes,
        )
        for draft, (text, short, votes) in zip(samples.drafts, parts, strict=True)
    ]
