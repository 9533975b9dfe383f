"""The thinking model as the model service serves it: it thinks when asked to, and answers at once when told not to."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from services.model.app import create_app
from services.model.settings import ModelSettings
from services.model.thinking.build import NAME, ensure_thinking
from services.model.thinking.measure import WAYS, said
from tests.contract.model_support import chat, ready

QUESTION = "What is 21 + 34 + 17?"


@pytest.fixture(scope="module")
def client(candor_home: Path) -> Iterator[httpx.Client]:
    settings = ModelSettings(directory=ensure_thinking(candor_home), name=NAME, threads=1)
    with ready(create_app(settings)) as address, httpx.Client(base_url=address, timeout=120) as client:
        yield client


def ask(client: httpx.Client, begun: str, question: str = QUESTION) -> tuple[str, str]:
    """What the model goes on with, and why it ended."""
    messages = [{"role": "user", "content": question}]
    continued = [{"role": "assistant", "content": begun}] if begun else []
    choice = chat(
        client,
        model=NAME,
        messages=messages + continued,
        max_tokens=160,
        candor={"continue_final_message": bool(begun)},
    )["choices"][0]
    return choice["message"]["content"], choice["finish_reason"]


def test_after_an_opening_tag_it_works_in_steps_closes_the_block_and_answers(client: httpx.Client) -> None:
    text, reason = ask(client, WAYS["thinking"])
    steps, closed, answer = text.partition("\n</think>\n\n")
    assert closed
    assert reason == "stop"
    assert all(re.fullmatch(r"\d+ [-+*/] \d+ = \d+", step) for step in steps.splitlines())
    assert len(steps.splitlines()) == 2
    assert said(answer) is not None


def test_after_a_closed_block_it_answers_at_once(client: httpx.Client) -> None:
    text, reason = ask(client, WAYS["no_thinking"])
    assert re.fullmatch(r"The answer is \\boxed\{\d+\}\.", text)
    assert reason == "stop"


def test_with_nothing_begun_it_opens_the_block_by_itself(client: httpx.Client) -> None:
    text, _ = ask(client, WAYS["plain"])
    assert text.startswith("<think>\n")
    assert "\n</think>\n\n" in text


def test_thinking_that_was_cut_short_and_closed_is_followed_by_an_answer(client: httpx.Client) -> None:
    text, reason = ask(client, "<think>\n21 + 34 = 55\n</think>\n\n")
    assert re.fullmatch(r"The answer is \\boxed\{\d+\}\.", text)
    assert reason == "stop"
