"""A completion without a text is a failed item in every suite that scores one, and no wrong answer."""

import asyncio
from typing import Any

import pytest

from services.evaluation.endpoint import Endpoint, Reply
from services.evaluation.suites.base import Answer, BadAnswer, Planned
from services.evaluation.suites.chat import ChatSuite
from services.evaluation.suites.copybench.asked import read
from services.evaluation.suites.owners.extraction import Extraction
from services.evaluation.suites.owners.questions import Questions
from services.evaluation.suites.rag import answers
from services.evaluation.suites.rag_qa import RagQa
from services.evaluation.suites.said import said
from services.evaluation.suites.thinking_samples import read_samples, scores

CHAT = {"messages": [{"role": "user", "content": "Who?"}]}


class Silent(Endpoint):
    """Answers everything with a choice that has no text, and else as it should."""

    def __init__(self, message: dict[str, Any], finished: str) -> None:
        super().__init__("http://127.0.0.1:1", run="r", api_key=None, timeout=1, patience=1)
        self._choice = {"message": {"role": "assistant", "content": None, **message}, "finish_reason": finished}

    async def post(self, path: str, body: dict[str, Any], *, item: str) -> Reply:
        choice = self._choice if path.startswith("/v1/chat") else {"text": None, "finish_reason": "stop"}
        report = {"passages": [], "owners": {"effective": []}}
        return Reply({"choices": [choice], "usage": {"completion_tokens": 3}, "candor": report}, 1.0)


def planned(body: dict[str, Any]) -> Planned:
    ask = {"body": body, "document": "d", "owner": "news", "method": "generate", "worked": False, "left_out": None}
    return Planned("q@closed_book", "q", "s", "closed_book", "Who?", ["Anna"], 1, ask)


async def copybench(item: Planned, endpoint: Endpoint) -> Answer:
    path = "/v1/chat/completions" if "messages" in item.ask["body"] else "/v1/completions"
    return read(await endpoint.post(path, item.ask["body"], item=item.id), item)


@pytest.mark.parametrize(
    ("message", "finished", "says"),
    [
        ({}, "stop", "no text, finish_reason 'stop'"),
        ({"tool_calls": [{"id": "1"}]}, "tool_calls", "no text, finish_reason 'tool_calls'"),
        ({"refusal": "I cannot."}, "stop", "and the refusal 'I cannot.'"),
        ({"content": [{"type": "text", "text": "Anna"}]}, "stop", "no text"),
    ],
)
@pytest.mark.parametrize(
    "answer",
    [RagQa().answer, answers.ask, ChatSuite().answer, Questions().answer, copybench],
    ids=["rag-qa", "rag", "chat", "owners", "copybench"],
)
def test_a_chat_completion_without_a_text_fails_its_item(
    answer: Any, message: dict[str, Any], finished: str, says: str
) -> None:
    with pytest.raises(BadAnswer, match=says):
        asyncio.run(answer(planned(CHAT), Silent(message, finished)))


@pytest.mark.parametrize("answer", [Extraction().answer, copybench], ids=["owners", "copybench"])
def test_a_completion_without_a_text_fails_its_item(answer: Any) -> None:
    with pytest.raises(BadAnswer, match="no text"):
        asyncio.run(answer(planned({"prompt": "Once", "candor": {"owners": {"include": []}}}), Silent({}, "stop")))


def test_an_empty_text_is_a_text() -> None:
    assert said({"message": {"content": ""}}) == said({"text": ""}) == ""


def test_an_answer_that_the_budget_ended_before_it_began_is_cut_off_and_wrong() -> None:
    answer = asyncio.run(RagQa().answer(planned(CHAT), Silent({}, "length")))
    scored = RagQa().score(planned(CHAT), answer)
    assert (answer.output, scored["truncated"], scored["contains_gold"]) == ("", 1.0, 0.0)


def test_a_sample_that_the_budget_ended_before_it_began_is_unparsed_and_a_refused_one_fails_the_item() -> None:
    choices = [{"message": {"content": text}, "finish_reason": "length"} for text in (None, "It is 3.")]
    asked = planned(CHAT)
    asked.ask["samples"] = 2
    answer = read_samples(Reply({"choices": choices, "usage": {"completion_tokens": 9}}, 1.0), asked)
    assert scores(["3"], answer.details, 1.0)["unparsed"] == 0.5
    choices[0]["finish_reason"] = "content_filter"
    with pytest.raises(BadAnswer, match="no text, finish_reason 'content_filter'"):
        read_samples(Reply({"choices": choices, "usage": {"completion_tokens": 9}}, 1.0), asked)
