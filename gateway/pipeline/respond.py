"""An answer in OpenAI's shape, whole or as chunks."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

from gateway.pipeline.answer import Answer
from gateway.pipeline.choose import Chosen
from gateway.pipeline.cite import Marked
from gateway.pipeline.options import retrieval_of
from gateway.pipeline.prepare import Prepared
from gateway.pipeline.sample import Samples
from shared.contracts.candor import AnswerChunk, CandorReport, ChatAnswer
from shared.contracts.openai import (
    Annotation,
    AssistantMessage,
    Choice,
    ChunkChoice,
    Delta,
    UrlCitation,
    Usage,
)


def completion(answer: Answer, base_url: str) -> ChatAnswer:
    """The answer as one body. `base_url` is the gateway's, for links to documents."""
    prepared, samples, chosen = answer.prepared, answer.samples, answer.chosen
    choices = []
    for position, (index, marked) in enumerate(zip(chosen.vote.order, chosen.choices, strict=False)):
        draft = samples.drafts[index]
        cited = links(marked, prepared, base_url)
        message = AssistantMessage(content=marked.text, reasoning_content=draft.reasoning, annotations=cited)
        choices.append(
            Choice(index=position, message=message, finish_reason=draft.finish_reason, logprobs=draft.logprobs)
        )
    return ChatAnswer(
        id=prepared.id,
        created=prepared.created,
        model=prepared.chat.model,
        usage=usage(samples),
        system_fingerprint=samples.fingerprint,
        warnings=answer.report.warnings,
        choices=choices,
        candor=answer.report,
    )


def usage(samples: Samples) -> Usage:
    """The prompt once, and the tokens of all samples."""
    return Usage(
        prompt_tokens=samples.prompt_tokens,
        completion_tokens=samples.completion_tokens,
        total_tokens=samples.prompt_tokens + samples.completion_tokens,
    )


def links(marked: Marked, prepared: Prepared, base_url: str) -> list[Annotation]:
    """A citation for each marker, with the gateway's address of the document that was read.

    Not the address the document names itself: that is often only its collection's home page.
    """
    reading = retrieval_of(prepared.options)
    documents = f"{base_url.rstrip('/')}/v1/datastores/{quote(reading.datastore if reading else '')}/documents"
    passages = {passage.n: passage for passage in prepared.ask.passages}
    found = []
    for citation, (start, end) in zip(marked.citations, marked.marks, strict=True):
        passage = passages[citation.n]
        # named, so that the link also opens a document whose owner takes part only when asked for
        url = f"{documents}/{quote(passage.document, safe='')}?owners={passage.owner}"
        # the marker without the space before it
        where = UrlCitation(start_index=start + 1, end_index=end, title=passage.title, url=url)
        found.append(Annotation(url_citation=where))
    return found


def text_chunk(prepared: Prepared, index: int, text: str) -> AnswerChunk:
    """A chunk that adds text to a choice."""
    return _chunk(prepared, ChunkChoice(index=index, delta=Delta(content=text)))


def reasoning_chunk(prepared: Prepared, index: int, text: str) -> AnswerChunk:
    """A chunk that adds to the thinking before an answer."""
    return _chunk(prepared, ChunkChoice(index=index, delta=Delta(reasoning_content=text)))


def first_chunk(prepared: Prepared, index: int) -> AnswerChunk:
    """The chunk that opens a choice."""
    return _chunk(prepared, ChunkChoice(index=index, delta=Delta(role="assistant", content="")))


def last_chunks(
    prepared: Prepared, samples: Samples, chosen: Chosen, report: CandorReport, base_url: str
) -> Iterator[AnswerChunk]:
    """The end of each choice with its annotations; the very last chunk has the report, and the usage if asked for."""
    options = prepared.chat.stream_options
    counted = options is not None and options.include_usage
    ends = list(zip(chosen.vote.order, chosen.choices, strict=False))
    for position, (index, marked) in enumerate(ends):
        draft = samples.drafts[index]
        cited = links(marked, prepared, base_url)
        choice = ChunkChoice(
            index=position,
            delta=Delta(annotations=cited or None),
            finish_reason=draft.finish_reason,
            # of a text that was voted on before it was sent: here, and not with each token
            logprobs=draft.logprobs,
        )
        end = _chunk(prepared, choice)
        final = position == len(ends) - 1 and not counted
        yield end.model_copy(update={"candor": report}) if final else end
    if counted:
        yield AnswerChunk(
            id=prepared.id,
            created=prepared.created,
            model=prepared.chat.model,
            choices=[],
            usage=usage(samples),
            candor=report,
        )


def frame(chunk: AnswerChunk) -> str:
    """A chunk as JSON, without a report or usage that it does not carry."""
    absent = {name for name in ("usage", "candor") if getattr(chunk, name) is None}
    return chunk.model_dump_json(exclude=absent)


def _chunk(prepared: Prepared, choice: ChunkChoice) -> AnswerChunk:
    return AnswerChunk(id=prepared.id, created=prepared.created, model=prepared.chat.model, choices=[choice])
