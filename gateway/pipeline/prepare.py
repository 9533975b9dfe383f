"""Everything before the first token: what a request asks for, whose data may take part, and what the model reads."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass

from gateway.pipeline.ask import Ask, ask
from gateway.pipeline.options import options, retrieval_of, trace_of
from gateway.pipeline.prompt import question, search_query
from gateway.pipeline.retrieve import Retrieved, retrieve
from gateway.pipeline.run import Run
from gateway.pipeline.trace import check_corpora
from gateway.pipeline.verdicts import Verdicts
from gateway.policy import Consent
from gateway.services import Services
from shared.contracts.candor import CandorOptions, ChatRequest


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
    verdicts: Verdicts | None = None


async def prepare(chat: ChatRequest, services: Services, run: Run) -> Prepared:
    """Everything before the first token. Raises CandorError for what is wrong with the request."""
    with run.timed("policy"):
        chosen = options(chat)
        asked = question(chat.messages)
        consent = services.policy.effective(chosen.owners)
        if (tracing := trace_of(chosen)) is not None:
            check_corpora(tracing, consent)
    verdicts = None
    if (verifier := chosen.sampling.verifier) is not None:
        with run.timed("verify"):
            await services.verifiers.check(verifier)
        verdicts = Verdicts(verifier, asked, services.verifiers)
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
    identity = "chatcmpl-" + secrets.token_hex(12)
    return Prepared(identity, int(time.time()), chat, chosen, consent, asked, retrieved.rewrite, put, verdicts)
