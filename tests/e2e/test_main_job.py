"""The main job, as a user of the OpenAI SDK sees it: the real stack, the real model, the real text."""

from typing import Any

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

QUESTION: list[ChatCompletionMessageParam] = [
    {"role": "user", "content": "What is the largest organ of the human body?"}
]
QUICK = {"sampling": {"samples": 3, "budget": 16}}


@pytest.fixture(scope="module")
def client(stack: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{stack}/v1", api_key="any", max_retries=0)


def ask(client: openai.OpenAI, candor: dict[str, Any] = QUICK, **request: Any) -> tuple[str, dict[str, Any]]:
    answer = client.chat.completions.create(
        model=request.pop("model", "candor"),
        messages=request.pop("messages", QUESTION),
        extra_body={"candor": candor},
        **request,
    )
    content = answer.choices[0].message.content
    assert content is not None
    return content, answer.to_dict()["candor"]


def test_an_answer_comes_with_its_passages_its_votes_its_spans_and_its_ledger(client: openai.OpenAI) -> None:
    content, report = ask(client)
    assert [passage["n"] for passage in report["passages"]] == list(range(1, len(report["passages"]) + 1))
    assert len(report["samples"]) == 3
    assert report["samples"][report["winner"]]["votes"] == max(sample["votes"] for sample in report["samples"])
    for span in report["trace"]["spans"]:
        assert content[span["start"] : span["end"]] == span["text"]
        assert all(
            document["snippet"][document["match_start"] : document["match_end"]] == span["text"]
            for document in span["documents"]
        )
    # the rest is the public expert's, which is no owner's
    assert 0 < sum(entry["routing_share"] for entry in report["ledger"]) < 1
    assert report["failed"] == []


@pytest.mark.parametrize("owner", ["papers", "medicine", "python", "news", "literature", "textbooks"])
def test_an_owner_left_out_is_in_no_part_of_the_answer(client: openai.OpenAI, owner: str) -> None:
    _, report = ask(client, {**QUICK, "owners": {"exclude": [owner]}})
    assert owner not in report["owners"]["effective"]
    assert owner not in {passage["owner"] for passage in report["passages"]}
    assert owner not in {d["owner"] for span in report["trace"]["spans"] for d in span["documents"]}
    assert owner not in {entry["owner"] for entry in report["ledger"]}


def test_only_the_owners_included_and_the_public_take_part(client: openai.OpenAI) -> None:
    _, report = ask(client, {**QUICK, "owners": {"include": ["medicine"]}})
    assert set(report["owners"]["effective"]) == {"encyclopedia", "medicine"}
    assert {entry["owner"] for entry in report["ledger"]} <= {"encyclopedia", "medicine"}


def test_the_same_seed_gives_the_same_answer(client: openai.OpenAI) -> None:
    first, one = ask(client, seed=7)
    second, two = ask(client, seed=7)
    assert first == second
    assert [sample["text"] for sample in one["samples"]] == [sample["text"] for sample in two["samples"]]


@pytest.mark.parametrize("samples", [1, 3])
def test_a_stream_has_the_answer_in_pieces_and_the_report_once_at_its_end(client: openai.OpenAI, samples: int) -> None:
    stream = client.chat.completions.create(
        model="candor",
        messages=QUESTION,
        stream=True,
        stream_options={"include_usage": True},
        seed=3,
        extra_body={"candor": {"sampling": {"samples": samples, "budget": 16}}},
    )
    chunks: list[dict[str, Any]] = [chunk.to_dict() for chunk in stream]
    text = "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])
    reports = [chunk["candor"] for chunk in chunks if chunk.get("candor")]
    assert text.strip()
    assert len(reports) == 1
    winner = reports[0]["samples"][reports[0]["winner"]]["text"]
    assert text.strip().startswith(winner.strip()[:10])
    assert chunks[-1]["usage"]["completion_tokens"] > 0


def test_aliases_turn_stages_off(client: openai.OpenAI) -> None:
    _, plain = ask(client, {}, model="candor-plain", max_tokens=8)
    assert (plain["passages"], plain["trace"], len(plain["samples"])) == ([], None, 1)
    _, rag = ask(client, QUICK, model="candor-rag")
    assert rag["passages"]
    assert rag["trace"] is None


def test_a_trace_can_be_fetched_again_and_the_ledger_has_the_answer(client: openai.OpenAI, stack: str) -> None:
    content, report = ask(client)
    stored = httpx.get(f"{stack}/v1/traces/{report['trace']['id']}").json()
    assert stored["text"] == content
    assert stored["trace"]["spans"] == report["trace"]["spans"]
    newest = httpx.get(f"{stack}/v1/ledger", params={"limit": 1}).json()["data"][0]
    assert (newest["id"], newest["entries"]) == (report["id"], report["ledger"])


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"candor": {"owners": {"exclude": ["nobody"]}}}, "candor.owners.exclude"),
        ({"candor": {"retrieval": {"k": 0}}}, "candor.retrieval.k"),
        ({"candor": {"retrieval": {"datastore": "nowhere"}, "strict": True}}, "candor.retrieval.datastore"),
        ({"candor": {"trace": {"corpora": ["nowhere"]}, "strict": True}}, "candor.trace.corpora"),
        ({"candor": {"colour": "red"}}, "candor.colour"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user", "content": "why? " * 20_000}]}, "messages"),
        ({"model": "gpt-9"}, "model"),
        ({"temperature": 9}, "temperature"),
    ],
)
def test_bad_input_is_a_4xx_that_names_the_field(client: openai.OpenAI, change: dict[str, Any], field: str) -> None:
    request = {"model": "candor", "messages": QUESTION, "candor": {}, **change}
    with pytest.raises(openai.APIStatusError) as refused:
        client.chat.completions.create(
            model=request["model"],
            messages=request["messages"],
            extra_body={"candor": request["candor"]},
            temperature=request.get("temperature", 1),
        )
    assert 400 <= refused.value.status_code < 500
    body: Any = refused.value.body
    assert body["param"].startswith(field)


def test_unknown_outer_fields_are_served_and_listed(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="candor-plain",
        messages=QUESTION,
        max_tokens=4,
        extra_body={"frobnicate": 1},
    )
    body: dict[str, Any] = answer.to_dict()
    assert any("frobnicate" in warning for warning in body["warnings"])
