"""What rag-qa accepts as an answer under each setting."""

from typing import Any

import pytest

from services.evaluation.endpoint import Reply
from services.evaluation.suites.base import BadAnswer, Planned
from services.evaluation.suites.rag_answer import read_answer
from services.evaluation.suites.rag_qa import RagQa

NEWS = {"document": "coqa-cnn:1", "owner": "news"}
SQUAD = {"document": "squad:1", "owner": "encyclopedia"}


def planned(setting: str) -> Planned:
    ask = {"body": {"messages": [{"role": "user", "content": "Who?"}]}, "document": "coqa-cnn:1", "owner": "news"}
    return Planned(f"q@{setting}", "q", "coqa-cnn", setting, "Who?", ["Anna Lind"], 1, ask)


def reply(text: str = "Anna Lind [1], it says [12].", **report: Any) -> Reply:
    choice = {"message": {"content": text}, "finish_reason": "stop"}
    return Reply({"choices": [choice], "usage": {"completion_tokens": 5}, "candor": report}, 3.0)


def test_citation_marks_are_not_scored() -> None:
    asked = planned("rag")
    answer = read_answer(reply("Anna Lind [1].", passages=[NEWS], owners={"effective": ["news"]}), asked)
    assert RagQa().score(asked, answer) == {
        "contains_gold": 1, "f1": 1, "exact_match": 1, "truncated": 0, "gold_passage_read": 1,
    }  # fmt: skip


def test_f1_and_exact_match_are_of_the_short_answer_and_contains_of_the_whole() -> None:
    samples = [{"answer": "Bert"}, {"answer": "Anna Lind."}]
    answered = reply("It was Anna Lind. Or Bert.", samples=samples, winner=1, passages=[NEWS])
    scores = RagQa().score(planned("rag"), read_answer(answered, planned("rag")))
    assert (scores["contains_gold"], scores["f1"], scores["exact_match"]) == (1, 1, 1)
    missed = reply("It was Bert. Or Anna Lind.", samples=samples, winner=0, passages=[NEWS])
    scores = RagQa().score(planned("rag"), read_answer(missed, planned("rag")))
    assert (scores["contains_gold"], scores["f1"], scores["exact_match"]) == (1, 0, 0)


def test_an_empty_answer_says_nothing_and_is_wrong() -> None:
    body = reply("").body
    del body["candor"]
    answer = read_answer(Reply(body, 3.0), planned("closed_book"))
    assert RagQa().score(planned("closed_book"), answer)["contains_gold"] == 0


def test_closed_book_can_be_asked_of_an_endpoint_that_knows_nothing_of_candor() -> None:
    body = reply().body
    del body["candor"]
    answer = read_answer(Reply(body, 3.0), planned("closed_book"))
    assert "gold_passage_read" not in RagQa().score(planned("closed_book"), answer)
    with pytest.raises(BadAnswer, match="is this a Candor stack"):
        read_answer(Reply(body, 3.0), planned("rag"))


@pytest.mark.parametrize(
    ("setting", "report", "says"),
    [
        ("closed_book", {"passages": [SQUAD]}, "asked closed book"),
        ("rag_without_owner", {"passages": [SQUAD, NEWS]}, "news was left out and took part"),
        ("rag_without_owner", {"owners": {"effective": ["encyclopedia", "news"]}}, "news was left out and took part"),
        ("rag", {"failed": [{"stage": "retrieve", "error": "no answer"}]}, "retrieve: no answer"),
        ("rag", {"passages": [{"id": "x"}]}, "breaks the contract"),
        ("rag", {"samples": [{"answer": "Anna"}], "winner": 3}, "breaks the contract"),
    ],
)
def test_an_answer_made_under_another_setting_than_the_one_asked_for_is_refused(
    setting: str, report: dict[str, Any], says: str
) -> None:
    with pytest.raises(BadAnswer, match=says):
        read_answer(reply(**report), planned(setting))


@pytest.mark.parametrize("body", [{}, {"choices": []}, {"choices": [{"message": None}]}, {"choices": "x"}])
def test_what_is_no_chat_completion_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(BadAnswer, match="no chat completion"):
        read_answer(Reply(body, 1.0), planned("closed_book"))
