"""/v1/ngram and conjunctions of texts: the real app, on corpora of CPython's manual."""

import json

import httpx
import pytest

from tests.contract.test_tracing_api import OWNERS, ask, client, home  # noqa: F401 (fixtures)


def test_what_follows_is_counted_over_all_owners_asked_for(client: httpx.Client) -> None:  # noqa: F811
    answer = ask(client, "/v1/ngram", text=" the", owners=[*OWNERS], limit=1000, back_off=False)
    assert answer["count"] == ask(client, "/v1/count", text=" the", owners=[*OWNERS])["count"]
    assert sum(one["count"] for one in answer["data"]) == answer["count"]
    assert answer["distinct"] == len(answer["data"])
    assert answer["data"][0]["probability"] == answer["data"][0]["count"] / answer["count"]
    for one in answer["data"][:5]:
        spelt = ask(client, "/v1/count", tokens=[*answer["tokens"], one["token"]], owners=[*OWNERS])
        assert spelt["count"] == one["count"]
    alone = ask(client, "/v1/ngram", text=" the", owners=["papers"], limit=1000, back_off=False)
    assert alone["owners"] == alone["corpora"] == ["papers"]
    assert alone["count"] == ask(client, "/v1/count", text=" the", owners=["papers"])["count"] < answer["count"]


def test_it_backs_off_to_what_occurs_and_says_how_far(client: httpx.Client) -> None:  # noqa: F811
    answer = ask(client, "/v1/ngram", text="zebra quagga okapi of the", owners=[*OWNERS], next=0)
    assert 0 < answer["context"] < len(answer["tokens"])
    assert answer["count"] > 0
    assert answer["next"]["token"] == 0
    strict = ask(client, "/v1/ngram", text="zebra quagga okapi of the", owners=[*OWNERS], back_off=False)
    assert (strict["count"], strict["data"]) == (0, [])
    bigram = ask(client, "/v1/ngram", text="zebra quagga okapi of the", owners=[*OWNERS], length=1)
    assert bigram["context"] == 1


def test_without_text_it_lists_how_often_each_token_occurs(client: httpx.Client) -> None:  # noqa: F811
    answer = ask(client, "/v1/ngram", text="", owners=["papers"])
    corpus = next(one for one in client.get("/v1/corpora").json()["data"] if one["id"] == "papers")
    assert answer["count"] == corpus["tokens"] + corpus["documents"]
    assert ask(client, "/v1/ngram", text="", owners=[])["count"] == 0


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"text": "a", "tokens": [1]},
        {"tokens": [10**6]},
        {"text": "a", "next": 10**6},
        {"text": "\ud800"},
        {"text": "a", "corpora": ["nowhere"]},
    ],
)
def test_a_bad_question_is_refused_with_what_is_wrong(client: httpx.Client, body: dict[str, object]) -> None:  # noqa: F811
    response = client.post("/v1/ngram", content=json.dumps(body), headers={"content-type": "application/json"})
    assert response.status_code in {400, 404, 422}, response.text
    assert response.json()["detail"]


def test_texts_that_stand_near_each_other_are_counted_and_shown(client: httpx.Client) -> None:  # noqa: F811
    clauses = [["expression", "statement"], ["evaluated", "executed"]]
    answer = ask(client, "/v1/count", clauses=clauses, distance=20, owners=[*OWNERS])
    assert 0 < answer["count"] == sum(one["count"] for one in answer["corpora"])
    assert not answer["approximate"]
    found = ask(client, "/v1/find", clauses=clauses, distance=20, owners=[*OWNERS], limit=100, context=25)
    assert found["count"] == answer["count"] == len(found["occurrences"])
    for one in found["occurrences"]:
        assert one["snippet"][one["match_start"] : one["match_end"]] in {word for clause in clauses for word in clause}
        for clause in clauses:
            assert any(word in one["snippet"] for word in clause), one["snippet"]
    narrow = ask(client, "/v1/count", clauses=clauses, distance=1, owners=[*OWNERS])
    assert narrow["count"] < answer["count"]


@pytest.mark.parametrize(
    "body", [{"clauses": []}, {"clauses": [[]]}, {"clauses": [[""]]}, {"clauses": [["a"]], "text": "a"}]
)
def test_bad_clauses_are_refused(client: httpx.Client, body: dict[str, object]) -> None:  # noqa: F811
    for path in ("/v1/count", "/v1/find"):
        assert client.post(path, json=body).status_code in {400, 422}


def test_a_text_need_not_begin_with_the_space_that_stands_before_it(client: httpx.Client) -> None:  # noqa: F811
    spaced, plain = (
        ask(client, "/v1/ngram", text=text, owners=[*OWNERS], back_off=False)["count"] for text in (" in the", "in the")
    )
    assert plain == spaced > 0
