"""`candor ask`: one question, and everything the answer says of itself."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.cli.answer import show_answer
from gateway.cli.stack_client import DEFAULT_URL, Url, call
from gateway.cli.terminal import errors, out
from shared.contracts.candor import (
    CandorOptions,
    ChatRequest,
    OwnerChoice,
    RetrievalOptions,
    SamplingOptions,
)
from shared.contracts.openai import Message


def ask(
    question: Annotated[str, typer.Argument(help="What to ask.")],
    *,
    exclude: Annotated[
        list[str] | None, typer.Option(metavar="OWNER", help="Leave this owner out; may be given again.")
    ] = None,
    include: Annotated[
        list[str] | None, typer.Option(metavar="OWNER", help="Only these owners and the public ones.")
    ] = None,
    samples: Annotated[int | None, typer.Option(min=1, max=64, help="How many samples answer and vote.")] = None,
    k: Annotated[int | None, typer.Option("--k", min=1, max=20, help="How many passages are read.")] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same samples.")] = None,
    url: Url = DEFAULT_URL,
    json: Annotated[bool, typer.Option("--json", help="Print the whole response and nothing else.")] = False,
) -> None:
    """Ask a running stack, and see passages, votes, verbatim spans and whose data took part."""
    if exclude and include:
        raise typer.BadParameter("give --include or --exclude, not both")
    request = question_request(question, exclude=exclude, include=include, samples=samples, k=k, seed=seed)
    if json:
        typer.echo(call(url, lambda gateway: gateway.ask(request)).model_dump_json(indent=2))
        return
    with errors.status("Asking ..."):
        answer = call(url, lambda gateway: gateway.ask(request))
    show_answer(answer, out)


def question_request(
    question: str,
    *,
    exclude: list[str] | None = None,
    include: list[str] | None = None,
    samples: int | None = None,
    k: int | None = None,
    seed: int | None = None,
) -> ChatRequest:
    """The request for a question; what is not given is not sent, so that the gateway's defaults hold."""
    candor = CandorOptions()
    if exclude or include:
        candor.owners = OwnerChoice(exclude=exclude) if exclude else OwnerChoice(include=include)
    if samples is not None:
        candor.sampling = SamplingOptions(samples=samples)
    if k is not None:
        candor.retrieval = RetrievalOptions(k=k)
    request = ChatRequest(model="candor", messages=[Message(role="user", content=question)], candor=candor)
    if seed is not None:
        request.seed = seed
    return request
