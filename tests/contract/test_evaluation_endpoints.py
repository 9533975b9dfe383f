"""Runs over endpoints that the operator named: one that is no Candor stack, and one that judges."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from services.evaluation.books.build import build
from services.evaluation.books.file import write
from shared.contracts.evaluation import Report, RunsCompared
from tests.contract.command_support import candor
from tests.contract.endpoint_support import Body, endpoint, write_set
from tests.contract.evaluation_support import Oracle, Service, oracle, serving, write_questions
from tests.unit.evaluation.story import file, story

STRICT = {"model", "messages", "prompt", "max_tokens", "temperature", "top_p", "seed", "n", "echo", "logprobs"}
"""What the plain server takes: like OpenAI's own, it refuses a field that it does not know."""

asked: list[tuple[str, Body]] = []
judged: list[str] = []
nonsense: list[str] = []
"""What the judge says instead, if anything."""


def plain(path: str, body: Body) -> tuple[int, Body]:
    """A server of one model, which knows each capital and every colour of a door."""
    if not body:
        return 404, {}
    asked.append((path, body))
    if unknown := {*body} - STRICT:
        return 400, {"error": {"message": f"Unrecognized request argument supplied: {', '.join(unknown)}"}}
    if body["model"] != "org/plain-1b":
        return 404, {"error": {"message": f"The model {body['model']} does not exist."}}
    usage = {"completion_tokens": 10 * body.get("n", 1)}
    return 200, {"choices": choices(body), "usage": usage}


def choices(body: Body) -> list[Body]:
    if body.get("echo"):
        return [echoed(at, prompt) for at, prompt in enumerate(body["prompt"])]
    if "prompt" in body:
        return [{"text": "Then Clara followed Mr. Tobias Fenwick. " * 20, "finish_reason": "length"}]
    question = body["messages"][-1]["content"]
    says = [f"The answer is {4 if at % 2 == 0 else 5}." for at in range(body.get("n", 1))]
    if "door" in question:
        says = ["I do not know."]
    return [choice(one) for one in says]


def choice(text: str) -> Body:
    return {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}


def echoed(index: int, prompt: str) -> Body:
    words, at, offsets = prompt.split(" "), 0, list[int]()
    for word in words:
        offsets.append(max(0, at - 1))
        at += len(word) + 1
    logprobs = [None, *[-1.0 if word == "Paris" else -3.0 for word in words[1:]]]
    return {"index": index, "logprobs": {"tokens": words, "token_logprobs": logprobs, "text_offset": offsets}}


def judge(path: str, body: Body) -> tuple[int, Body]:
    """A reader: an event is told where all its words stand, and fluent is what has them in the book's order."""
    if path != "/v1/chat/completions" or "candor" in body or body["model"] != "reader":
        return 400, {"error": {"message": "no such thing here"}}
    text = body["messages"][0]["content"]
    judged.append(text)
    if nonsense:
        return 200, {"choices": [choice(nonsense[0])]}
    if "Does the passage tell" in text:
        passage, _, event = text.partition("\n\nEvent of a book:\n")
        event = event.partition("\n\nDoes")[0]
        return 200, {"choices": [choice("**Yes**." if event in passage else "No, it does not.")]}
    words = text.partition("Text:\n")[2].partition("\n\nAnswer")[0].split()
    pairs = [*pairwise(words)]
    known = sum(pair in PAIRS for pair in pairs) / max(1, len(pairs))
    varied = len({*pairs}) / max(1, len(pairs))
    return 200, {"choices": [choice(f"Rating: {5 if known > 0.95 and varied > 0.5 else 2}/5")]}


BOOK = story()
PAIRS = {pair for one in BOOK for pair in pairwise(one.split())}


@pytest.fixture(scope="module")
def stack() -> Iterator[Oracle]:
    with oracle() as running:
        yield running


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, stack: Oracle) -> Iterator[Service]:
    home: Path = tmp_path_factory.mktemp("home")
    write_questions(home, 4)
    write_set(home, "sums", [{"question": f"What is {one} + {4 - one}?", "answer": "#### 4"} for one in range(3)])
    cities = ["Oslo", "Paris", "Lima"]
    write_set(home, "capitals", [{"question": "The capital of France?", "choices": cities, "answer": 1}])
    text = home / "lantern.txt"
    text.write_text(file(BOOK), encoding="utf-8")
    write(build(text, "literature"), home)
    with endpoint(plain, "org/plain-1b") as there, endpoint(judge) as reader:
        named = {
            "plain": {"url": f"{there}/", "api_key": "secret-of-plain", "model": "org/plain-1b"},
            "reader": {"url": reader, "model": "reader"},
            "twin": {"url": stack.url},
            "down": {"url": "http://127.0.0.1:9", "model": "any"},
        }
        with serving(home, stack.url, endpoints=json.dumps(named), patience="0") as running:
            yield running


@pytest.fixture(autouse=True)
def empty() -> None:
    asked.clear()
    judged.clear()
    nonsense.clear()


def run(service: Service, suite: str, there: str, limit: int = 3, **options: Any) -> dict[str, Any]:
    made = service.create(suite=suite, endpoint=there, limit=limit, options=options)
    ended = service.wait(made["id"])
    assert ended["status"] == "succeeded", ended
    return ended


def test_a_run_asks_the_endpoint_it_names_for_that_model_and_leaves_out_what_only_a_stack_has(
    service: Service,
) -> None:
    ended = run(service, "rag-qa", "plain", sets=["tales"])
    assert ended["endpoint"] == "plain"
    assert ended["versions"]["model"] == "org/plain-1b"
    assert ended["versions"]["endpoint"].startswith("http://127.0.0.1:")
    assert {item["setting"] for item in service.items(ended["id"])} == {"closed_book"}
    assert len(asked) == 3
    assert all(body["max_tokens"] == 56 and "candor" not in body for _, body in asked)
    said = " ".join(ended["warnings"])
    assert "plain is no Candor stack: rag, rag_without_owner cannot be asked there." in said
    assert f"sent to {ended['versions']['endpoint']}" in said
    assert "secret" not in json.dumps(ended)


def test_the_stack_is_asked_where_nothing_is_named(service: Service, stack: Oracle) -> None:
    ended = run(service, "rag-qa", "stack", sets=["tales"], settings=["closed_book"])
    assert (ended["endpoint"], ended["versions"]["endpoint"], asked) == ("stack", stack.url, [])
    assert service.wait(service.create(limit=1, options={"sets": ["tales"]})["id"])["endpoint"] == "stack"


def test_another_stack_is_asked_as_this_one_is(service: Service) -> None:
    ended = run(service, "rag-qa", "twin", sets=["tales"])
    assert {item["setting"] for item in service.items(ended["id"])} == {"closed_book", "rag", "rag_without_owner"}
    assert ended["versions"]["model"] == "candor"


def test_choices_are_weighed_and_answers_generated_closed_book(service: Service) -> None:
    ended = run(service, "rag", "plain", sets=["capitals", "sums"])
    report = Report.model_validate(service.http.get(f"/v1/evaluations/{ended['id']}/report").json())
    means = {(cell.set, cell.setting): cell.scores["accuracy"].mean for cell in report.cells}
    assert means == {("capitals", "closed_book"): 1.0, ("sums", "closed_book"): 1.0}
    assert {path for path, _ in asked} == {"/v1/completions", "/v1/chat/completions"}


def test_samples_are_asked_for_by_n_in_the_mode_plain(service: Service) -> None:
    ended = run(service, "thinking", "plain", sets=["sums"], samples=4, budgets=[64])
    items = service.items(ended["id"])
    assert {item["setting"] for item in items} == {"plain@64"}
    assert all((body["n"], body["max_tokens"]) == (4, 64) for _, body in asked)
    for item in items:
        assert item["scores"]["pass@1"] == 0.5
        assert item["scores"]["tokens"] == 10
        assert len(item["details"]["samples"]) == 4
    assert "no confidence of its samples" in " ".join(ended["warnings"])


@pytest.mark.parametrize("through", ["completions", "chat"])
def test_what_a_model_that_is_one_piece_copies_is_measured_with_everyone_in(service: Service, through: str) -> None:
    ended = run(service, "copybench", "plain", through=through, limit=2)
    items = service.items(ended["id"])
    assert {item["setting"] for item in items} == {"all", "system prompt"}
    assert all("fluency" not in item["scores"] for item in items)
    said = " ".join(ended["warnings"])
    assert "without literature cannot be asked there" in said
    assert "name a judge" in said


def test_another_model_judges_events_and_fluency(service: Service) -> None:
    ended = run(
        service, "copybench", "plain", limit=2, measures=["events", "fluency"], settings=["all"], judge="reader"
    )
    items = service.items(ended["id"])
    assert len(items) == 2
    for item in items:
        scores = item["scores"]
        assert (scores["judge"], scores["fluency_judge"]) == (1.0, 1.0)
        # a sentence twenty times over
        assert (scores["events"], scores["fluency"]) == (0.0, 2.0)
    assert ended["versions"]["endpoint reader"].startswith("reader at http://127.0.0.1:")
    assert len(ended["warnings"]) == 2  # sent to the endpoint, and to the judge
    events = len(items[0]["details"]["known"]["entailed"])
    known = [text for text in judged if "Does the passage tell" in text]
    # the known pairs once in the run, and every event by every window
    windows = len(items[0]["details"]["gains"])
    assert len(known) == 2 * events + 2 * windows * events


@pytest.mark.parametrize("said", ["I cannot say.", "", "Notwithstanding", "10", "0.5"])
def test_a_judge_that_answers_nonsense_fails_the_item(service: Service, said: str) -> None:
    nonsense.append(said)
    measure = "fluency" if said[:1].isdigit() else "events"
    made = service.create(
        suite="copybench",
        endpoint="plain",
        limit=1,
        options={
            "measures": [measure],
            "settings": ["all"],
            "judge": "reader",
        },
    )
    ended = service.wait(made["id"])
    assert ended["status"] == "failed"
    [item] = service.items(made["id"])
    assert item["scores"] == {}
    assert "the judge was asked for" in item["error"]
    assert repr(said) in item["error"]


@pytest.mark.parametrize(
    ("request_", "field", "says"),
    [
        ({"endpoint": "nobody"}, "endpoint", "There is no endpoint 'nobody'. Known: stack, plain, reader, twin, down"),
        ({"endpoint": "http://127.0.0.1:1"}, "endpoint", "There is no endpoint"),
        (
            {"endpoint": "plain", "options": {"sets": ["tales"], "settings": ["rag"]}},
            "endpoint",
            "rag cannot be asked there",
        ),
        ({"endpoint": "plain", "suite": "owners"}, "endpoint", "only a Candor stack has, and 'plain' is none"),
        ({"endpoint": "twin", "suite": "spurious-rewards"}, "endpoint", "spurious-rewards asks no endpoint"),
        ({"suite": "copybench", "options": {"judge": "nobody"}}, "options.judge", "There is no endpoint 'nobody'"),
        ({"suite": "copybench", "options": {"judge": "twin"}}, "options.judge", "'twin' has no model"),
        ({"suite": "copybench", "options": {"judge": "stack"}}, "options.judge", "'stack' has no model"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_is(
    service: Service, request_: dict[str, Any], field: str, says: str
) -> None:
    response = service.http.post("/v1/evaluations", json={"suite": "rag-qa", "limit": 1, **request_})
    assert response.status_code in (404, 422), response.text
    assert (response.json()["field"], says in response.json()["detail"]) == (field, True), response.text
    assert not asked
    assert not judged


def test_an_endpoint_that_is_down_ends_the_run_and_says_so(service: Service) -> None:
    made = service.create(endpoint="down", limit=1, options={"sets": ["tales"]})
    ended = service.wait(made["id"])
    assert ended["status"] == "failed"
    assert "cannot be reached" in ended["error"]


def test_the_command_runs_a_suite_over_several_endpoints_and_compares_them(service: Service) -> None:
    command = ["eval", "run", "rag-qa", "--sets", "tales", "--settings", "closed_book", "--limit", "2"]
    done = candor(service.url, *command, "--endpoint", "stack,plain", "--json")
    assert done.returncode == 0, done.stderr
    compared = RunsCompared.model_validate_json(done.stdout)
    assert [run.endpoint for run in compared.runs] == ["stack", "plain"]
    assert {*compared.differing} >= {"versions.model", "versions.endpoint"}
    assert "asked of plain" in done.stderr


def test_of_several_endpoints_none_is_asked_if_one_is_not_there(service: Service, stack: Oracle) -> None:
    stack.delay = 2.0
    command = ["eval", "run", "rag-qa", "--sets", "tales", "--settings", "closed_book", "--limit", "2"]
    done = candor(service.url, *command, "--endpoint", "stack,nobody")
    stack.delay = 0.0
    assert done.returncode == 1
    assert "There is no endpoint 'nobody'" in done.stderr
    newest = service.http.get("/v1/evaluations", params={"limit": 1}).json()["data"][0]
    assert (newest["endpoint"], newest["status"]) == ("stack", "cancelled")
