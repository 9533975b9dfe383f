"""The samples, and the choice among them: verified, voted on, and cited."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.pipeline.aggregate import Vote, aggregate
from gateway.pipeline.cite import Marked, at_end, cite, mark, without_heading, without_markers
from gateway.pipeline.generate import generate
from gateway.pipeline.prepare import Prepared
from gateway.pipeline.run import Run
from gateway.pipeline.sample import Draft, Samples
from gateway.pipeline.tally import Tally
from gateway.pipeline.until import Enough, until
from gateway.services import Services


@dataclass(frozen=True)
class Chosen:
    """The vote, every sample's text and what the verifier said of it, and the texts of the n choices with their
    citations, the answer first."""

    vote: Vote
    texts: tuple[str, ...]
    verified: tuple[bool | None, ...]
    choices: tuple[Marked, ...]


async def sample(prepared: Prepared, services: Services, run: Run) -> Samples:
    """The samples, all of them or until the vote is decided. Raises CandorError."""
    with run.needed("generate"):
        if (enough := _enough(prepared)) is not None:
            return await until(enough, prepared.ask, prepared.consent, services.model)
        return await generate(prepared.ask, prepared.consent, services.model)


async def choose(prepared: Prepared, samples: Samples, run: Run, *, streamed: bool = False) -> Chosen:
    """Verify, vote, and cite. Markers of a text that was `streamed` already can only stand at its end.

    Raises StageFailed when the verifier failed and the request is strict.
    """
    passages, rule = prepared.ask.passages, prepared.options.sampling.aggregate
    texts = tuple(_text(prepared, draft, streamed=streamed) for draft in samples.drafts)
    verified = await _verified(prepared, samples, texts, run)
    with run.timed("aggregate"):
        confidences = [draft.confidence for draft in samples.drafts]
        vote = aggregate(texts, confidences, prepared.question, rule, verified)
        choices = []
        for index in vote.order[: prepared.chat.n]:
            citations = cite(texts[index], prepared.question, passages)
            choices.append(mark(texts[index], at_end(citations, texts[index]) if streamed else citations))
    if lost := [draft.unforced for draft in samples.drafts if draft.unforced]:
        run.warnings.append(
            f"{len(lost)} of {len(texts)} samples have no final answer, for it could not be forced: {lost[0]}."
        )
    if rule == "verifier" and True not in verified:
        run.warnings.append("No sample was verified: the vote, weighted by confidence, chose the answer.")
    return Chosen(vote, texts, tuple(verified), tuple(choices))


def _enough(prepared: Prepared) -> Enough | None:
    """When the samples to come can be aborted; None if all are wanted."""
    sampling, verdicts = prepared.options.sampling, prepared.verdicts
    rule = sampling.aggregate
    if not sampling.early_stop or sampling.samples == 1 or rule == "best":
        return None
    tally = Tally(prepared.question, sampling.samples, rule)
    ended: set[int] = set()
    found = False

    async def enough(index: int, draft: Draft) -> bool:
        nonlocal found
        ended.add(index)
        text = _text(prepared, draft)
        if rule == "verifier" and verdicts is not None:
            found = bool(await verdicts.of(text)) or found
        elif rule == "first":
            found = 0 in ended
        else:
            tally.add(index, text, draft.confidence)
            found = tally.decided()
        return found and len(ended) >= prepared.chat.n

    return enough


def _text(prepared: Prepared, draft: Draft, *, streamed: bool = False) -> str:
    """What a sample says, without the model's own markers and headings."""
    text = without_markers(draft.text, len(prepared.ask.passages)).strip()
    return text if streamed else without_heading(text)


async def _verified(prepared: Prepared, samples: Samples, texts: Sequence[str], run: Run) -> Sequence[bool | None]:
    verdicts = prepared.verdicts
    if verdicts is None:
        return [None] * len(texts)
    with run.timed("verify"):
        # who stops at one that is right does not wait to hear of the others
        stopped = samples.decided and prepared.options.sampling.aggregate == "verifier"
        verified = verdicts.known(texts) if stopped else await verdicts.all(texts)
    if verdicts.failures:
        run.missing("verify", verdicts.failures[0])
    return verified
