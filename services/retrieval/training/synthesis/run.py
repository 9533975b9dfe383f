"""Synthesis of pairs: conversations with a language model, several at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict

from services.retrieval.encoders.base import Encoder
from services.retrieval.training.pairs import Pair
from services.retrieval.training.synthesis import prompts
from services.retrieval.training.synthesis.store import Store
from services.retrieval.training.synthesis.tasks import Task, left

Message = dict[str, str]
"""`role` and `content`, as OpenAI's chat completions have them."""

Ask = Callable[[str, Sequence[Message]], Awaitable[str]]
"""Of a task's id and a conversation, the model's next message."""


class Dropped(Exception):
    """The task comes to nothing: the reason, and the answer that was the cause."""

    def __init__(self, reason: str, answer: str) -> None:
        super().__init__(reason)
        self.reason, self.answer = reason, answer


async def synthesise(
    tasks: Sequence[Task],
    ask: Ask,
    encoder: Encoder,
    store: Store,
    *,
    model: str,
    held: float,
    margin: float,
    at_once: int,
) -> None:
    """Do the tasks that are not done, at most `at_once` at a time; each is kept or dropped in the store.

    What `ask` raises ends the run, and what was done stays done.
    """
    waiting = iter(left(tasks, store.done))

    async def work() -> None:
        for task in waiting:
            about = {"task": task.id, "model": model, "prompts": prompts.VERSION, "passage": task.passage.id}
            try:
                pair = await _pair(task, ask, held)
                await asyncio.to_thread(_check, pair, encoder, margin)
            except Dropped as why:
                of = {"kind": task.kind, "owner": task.owner, "document": task.passage.document}
                store.drop(about | of | {"reason": why.reason, "answer": why.answer})
            else:
                store.keep(asdict(pair) | about)

    workers = [asyncio.create_task(work()) for _ in range(at_once)]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


async def _pair(task: Task, ask: Ask, held: float) -> Pair:
    talk: list[Message] = []

    async def turn(words: str) -> str:
        talk.append({"role": "user", "content": words})
        answer = await ask(task.id, talk)
        talk.append({"role": "assistant", "content": answer})
        return answer

    async def fields(words: str, *names: str) -> list[str]:
        answer = await turn(words)
        found = prompts.parse(answer, names)
        if found is None:
            raise Dropped("unparsable", answer)
        return [found[name] for name in names]

    if task.kind == "varied":
        await turn(prompts.brainstorm(task.passage.text))
        query, positive = await fields(prompts.varied(task.query_words, task.document_words), "query", "positive")
        _long_enough(positive, task.document_words)
    else:
        (query,) = await fields(prompts.hard(task.passage.text), "query")
        positive = task.passage.text
    if prompts.points_at_a_text(query):
        raise Dropped("refers to a text", query)
    # in a turn of its own: asked for together, the negative is a copy of the positive with a word changed
    (negative,) = await fields(prompts.negative(task.negative_words), "negative")
    _long_enough(negative, task.negative_words)
    return Pair(
        query=query,
        positive=positive,
        negative=negative,
        kind=task.kind,
        owner=task.owner,
        document=task.passage.document,
        licence=task.passage.licence,
        negative_document=None,
        held=held,
    )


def _long_enough(text: str, words: int) -> None:
    """Half of what was asked for; else its length alone would tell it from the others."""
    if len(text.split()) < words / 2:
        raise Dropped("too short", text)


def _check(pair: Pair, encoder: Encoder, margin: float) -> None:
    """A negative that the encoder scores above the positive less the margin may well answer the query."""
    query, positive, negative = encoder.encode([pair.query, pair.positive, pair.negative])
    if float(query @ negative) > float(query @ positive) - margin:
        raise Dropped("false negative", pair.negative)
