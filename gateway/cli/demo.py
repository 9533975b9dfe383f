"""`candor demo`: from nothing to one question asked twice, the second time with an owner left out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from pydantic import ValidationError
from rich.rule import Rule
from rich.text import Text

from gateway.cli.answer import show_answer
from gateway.cli.ask import question_request
from gateway.cli.comparison import show_comparison
from gateway.cli.data import build_in, pull_into
from gateway.cli.failure import explained
from gateway.cli.stack_client import DEFAULT_URL, call
from gateway.cli.terminal import errors, out
from gateway.cli.up import wait_ready
from gateway.embedded import RunningStack, StackError
from shared.contracts.gateway import StackReadiness
from shared.settings import candor_home

QUESTION, OWNER = "Black foot is seen in which poisoning?", "medicine"
"""A question that only the owner's passages answer, and for which another owner has passages that mislead."""


def demo() -> None:
    """Fetch, build, start, ask one question with everyone's data, and again with one owner left out."""
    home = candor_home()
    _step("1/4  Fetching the models and texts (once)")
    out.print(pull_into(home))
    _step("2/4  Building the model and the indexes (once)")
    build_in(home)
    _step("3/4  Starting the gateway and four services")
    with _any_stack() as url:
        _step(f"4/4  Asking, with everyone's data: {QUESTION}")
        request = question_request(QUESTION, seed=0)
        everyone = call(url, lambda gateway: gateway.ask(request))
        show_answer(everyone, out)
        _step(f"The same question, with {OWNER} left out")
        without = question_request(QUESTION, exclude=[OWNER], seed=0)
        fewer = call(url, lambda gateway: gateway.ask(without))
        show_answer(fewer, out)
        _step(f"What leaving {OWNER} out changed")
        show_comparison(everyone, fewer, OWNER, out)
    out.print(Text("\nGo on with:", style="bold"))
    out.print("  make up                                   start the stack and leave it running")
    out.print(f'  .venv/bin/candor ask "{QUESTION}" --exclude {OWNER}', soft_wrap=True)
    out.print("  .venv/bin/candor eval run rag-qa          measure what each owner's data adds")


@contextmanager
def _any_stack() -> Iterator[str]:
    """The stack that runs already, or one of our own for the time of the demonstration."""
    if _runs(DEFAULT_URL):
        errors.print(f"One runs already at {DEFAULT_URL}.")
        yield DEFAULT_URL
        return
    with explained(StackError), RunningStack(candor_home()) as stack:
        wait_ready(stack)
        yield stack.address


def _runs(url: str) -> bool:
    try:
        response = httpx.get(url + "/readyz", timeout=2.0, trust_env=False)
        return StackReadiness.model_validate_json(response.content).ready
    except (httpx.HTTPError, ValidationError):
        return False


def _step(title: str) -> None:
    out.print()
    out.print(Rule(Text(title, style="bold"), align="left"))
