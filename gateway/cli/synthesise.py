"""`candor retriever synthesise`: training pairs written by a language model."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.failure import Failure, explained
from gateway.cli.terminal import out
from gateway.cli.trainable import Base, Held, Owners, encoder_card, owners_segments

if TYPE_CHECKING:
    from services.evaluation.endpoint import Endpoint
    from services.retrieval.encoders.base import Encoder
    from services.retrieval.training.synthesis.run import Ask, Message
    from services.retrieval.training.synthesis.store import Store

_PATIENCE_SECONDS = 120.0


def synthesise(
    *,
    owners: Owners,
    folder: Annotated[Path, typer.Option("--out", help="Folder of the pairs. A run that was cut off goes on there.")],
    url: Annotated[str, typer.Option("--model", help="An OpenAI-compatible endpoint. It gets the owners' passages.")],
    model: Annotated[str, typer.Option("--model-name", help="The model's name at the endpoint.")],
    key: Annotated[str | None, typer.Option(envvar="OPENAI_API_KEY", help="The endpoint's key.")] = None,
    kinds: Annotated[str, typer.Option(help="varied: task, query and document invented; hard: of a passage.")] = (
        "varied,hard"
    ),
    count: Annotated[int, typer.Option(min=1, help="At most so many pairs.")] = 1000,
    datastore: str = "main",
    base: Base = "minilm",
    held: Held = 0.5,
    margin: Annotated[float, typer.Option(help="A negative scores at least so much below the positive.")] = 0.05,
    at_once: Annotated[int, typer.Option(min=1, help="Conversations at once.")] = 8,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds for one answer.")] = 600.0,
) -> None:
    """Let a language model write queries, documents and hard negatives about the owners' passages."""
    from services.evaluation.endpoint import Endpoint, EndpointError
    from services.retrieval.encoders.base import load
    from services.retrieval.training.pool import pool
    from services.retrieval.training.synthesis.run import synthesise as work_off
    from services.retrieval.training.synthesis.store import Store
    from services.retrieval.training.synthesis.tasks import KINDS, tasks

    wanted = [kind for kind in KINDS if kind in kinds.split(",")]
    if not wanted or len(wanted) != len(kinds.split(",")):
        raise Failure(f"--kinds: {kinds!r} is not a list of {', '.join(KINDS)}.")
    card = encoder_card("--base", base)
    todo = tasks(pool(owners_segments(datastore, owners, card)), wanted, held=held, count=count)
    if not todo:
        raise Failure("--owner: no passage of these owners is long enough and not held out.")

    async def run(encoder: Encoder, store: Store) -> None:
        address = url.removesuffix("/").removesuffix("/v1")
        async with Endpoint(
            address, run="synthesise", api_key=key, timeout=timeout, patience=_PATIENCE_SECONDS
        ) as endpoint:
            ask = asking(endpoint, model)
            await work_off(todo, ask, encoder, store, model=model, held=held, margin=margin, at_once=at_once)

    with Store(folder) as store:
        with explained(EndpointError):
            asyncio.run(run(load(card), store))
        reasons = "".join(f", {number} {reason}" for reason, number in sorted(store.dropped.items()))
        out.print(f"{len(store.made)} pairs in {folder}; dropped: {store.dropped.total()}{reasons}.", soft_wrap=True)


def asking(endpoint: Endpoint, model: str) -> Ask:
    """What asks a model at an endpoint. It raises EndpointError."""
    from services.evaluation.endpoint import EndpointError

    async def ask(task: str, talk: Sequence[Message]) -> str:
        body = {"model": model, "messages": list(talk), "temperature": 1.0}
        reply = await endpoint.post("/v1/chat/completions", body, item=task)
        try:
            content = reply.body["choices"][0]["message"]["content"]
        except (KeyError, IndexError, TypeError) as error:
            raise EndpointError(f"an answer that is no chat completion: {str(reply.body)[:200]}") from error
        return content or ""

    return ask
