"""`rag` through the real service: the grid is asked as it says, and scored as the endpoint was made to answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.contracts.evaluation import Report
from shared.contracts.figure import Plot
from tests.contract.endpoint_support import Body, endpoint, write_set
from tests.contract.evaluation_support import Service, serving, write_questions

asked: list[tuple[str, Body]] = []
deaf: set[str] = set()
"""What the endpoint leaves out: `echo`."""

CITIES = {"France": "Paris", "Italy": "Rome", "Peru": "Lima"}


def passages(country: str, k: int) -> list[Body]:
    first = {"document": f"{country}:1", "owner": "encyclopedia", "text": f"{CITIES[country]} is where {country} sits."}
    return [first, *({"document": f"x:{n}", "owner": "encyclopedia", "text": f"Noise {n}."} for n in range(1, k))]


def reply(path: str, body: Body) -> tuple[int, Body]:
    asked.append((path, body))
    if path == "/v1/search":
        country = next(one for one in CITIES if one in body["query"])
        return 200, {"results": [passages(country, body["k"])], "failed": []}
    if path == "/v1/completions":
        return 200, {"choices": [echoed(at, prompt) for at, prompt in enumerate(body["prompt"])]}
    if path == "/v1/chat/completions":
        return 200, answered(body)
    return 404, {}


def echoed(index: int, prompt: str) -> Body:
    """A token a word. What follows `Answer:` is probable if a passage says it, the more so the nearer it stands."""
    context, _, continuation = prompt.rpartition("Answer:")
    near = context.rfind(continuation.strip())
    words, offsets, at = prompt.split(" "), [], 0
    for word in words:
        offsets.append(at)
        at += len(word) + 1
    # as byte-level tokens do, a word begins with the space before it
    offsets = [max(0, offset - 1) for offset in offsets]
    logprobs = [None, *[-3.0 if near < 0 else -1.0 for _ in words[1:]]]
    said = {"tokens": words, "token_logprobs": logprobs, "text_offset": offsets, "top_logprobs": []}
    return {"index": index, "text": prompt, "logprobs": None if "echo" in deaf else said}


def answered(body: Body) -> Body:
    text, retrieval = body["messages"][-1]["content"], body["candor"]["retrieval"]
    country = next((one for one in CITIES if one in text), None)
    found = passages(country, retrieval["k"]) if retrieval and country else []
    if "letter" in text:
        city = CITIES[country or ""]
        said = f"{next(line[0] for line in text.splitlines() if line.endswith(city))}. {city}" if found else "No."
    elif "2 + 2" in text:
        said = "Two and two. The answer is 4."
    else:
        said = CITIES[country or ""] if found else "I do not know."
    choice = {"message": {"content": said}, "finish_reason": "stop"}
    return {"choices": [choice], "candor": {"passages": found}}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    home: Path = tmp_path_factory.mktemp("home")
    choices = ["Oslo", *CITIES.values()]
    write_set(
        home,
        "choices",
        [
            {"question": f"The capital of {one}?", "choices": choices, "answer": choices.index(city)}
            for one, city in CITIES.items()
        ],
    )
    write_set(home, "short", [{"question": f"capital of {one}", "answer": [city]} for one, city in CITIES.items()])
    write_set(home, "sums", [{"question": "2 + 2?", "answer": "#### 4"}])
    write_questions(home, 3)
    with endpoint(reply) as url, serving(home, url, failure_rate="1") as running:
        yield running


def run(service: Service, **options: Any) -> tuple[dict[str, Any], Report]:
    asked.clear()
    ended = service.wait(service.create(suite="rag", limit=3, options=options)["id"])
    report = service.http.get(f"/v1/evaluations/{ended['id']}/report").json()
    return ended, Report.model_validate(report)


def means(report: Report, metric: str) -> dict[str, float]:
    return {cell.setting: cell.scores[metric].mean for cell in report.cells if metric in cell.scores}


def test_choices_are_weighed_after_the_passages_of_each_setting(service: Service) -> None:
    ended, report = run(service, sets=["choices"], ks=[1, 2], orders=["best_last", "best_first"])
    assert (ended["status"], ended["progress"]["failed"]) == ("succeeded", 0)
    book, rest = means(report, "accuracy")["closed_book"], means(report, "accuracy")
    # without passages all choices are equally probable a word, so the longest a character: Paris
    assert book == pytest.approx(1 / 3)
    assert {name: rest[name] for name in rest if name != "closed_book"} == {
        "hybrid@1": 1,
        "hybrid@2": 1,
        "hybrid@2+best_first": 1,
    }
    assert set(means(report, "gold_in_passages").values()) == {1}
    prompts = [body["prompt"][0] for path, body in asked if path == "/v1/completions"]
    assert "Noise 1.\n\nParis is where France sits.\n\nQuestion: The capital of France?\nAnswer: Oslo" in prompts
    assert "Paris is where France sits.\n\nNoise 1.\n\nQuestion: The capital of France?\nAnswer: Oslo" in prompts
    searches = [body for path, body in asked if path == "/v1/search"]
    assert {(body["index"], body["k"], body["rewrite"], body["rerank"]) for body in searches} == {
        ("hybrid", 1, False, "none"),
        ("hybrid", 2, False, "none"),
    }


def test_letters_short_answers_and_worked_problems_are_scored_each_their_way(service: Service) -> None:
    ended, report = run(service, sets=["choices", "short", "sums"], ks=[1], choices="letter")
    assert ended["progress"]["failed"] == 0
    found = {(cell.set, cell.setting): {name: one.mean for name, one in cell.scores.items()} for cell in report.cells}
    assert (found["choices", "hybrid@1"]["accuracy"], found["choices", "hybrid@1"]["unparsed"]) == (1, 0)
    assert (found["choices", "closed_book"]["accuracy"], found["choices", "closed_book"]["unparsed"]) == (0, 1)
    assert (found["short", "hybrid@1"]["exact_match"], found["short", "closed_book"]["contains_gold"]) == (1, 0)
    assert found["sums", "closed_book"]["accuracy"] == 1
    modes = {body["candor"]["sampling"]["mode"] for _, body in asked if "2 + 2" in str(body.get("messages"))}
    assert modes == {"plain"}


def test_the_grid_is_all_that_was_asked_for_and_is_compared(service: Service) -> None:
    _, report = run(
        service, sets=["short"], indexes=["bm25", "hybrid"], ks=[1, 3], rewrite=[False, True], rerank=["none", "llm"]
    )
    settings = {cell.setting for cell in report.cells}
    assert len(settings) == 1 + 2 * 2 * 2 * 2
    assert {"closed_book", "bm25@3", "hybrid@1+rewrite", "hybrid@3+rewrite+llm"} <= settings
    pairs = {(one.setting, one.against) for one in report.comparisons}
    assert {("bm25@1", "closed_book"), ("hybrid@3+llm", "hybrid@3"), ("hybrid@3+rewrite+llm", "hybrid@3")} <= pairs
    [plot] = report.figures
    assert isinstance(plot, Plot)
    [line] = [one for one in plot.series if one.name == "hybrid+rewrite+llm"]
    assert (line.x, line.y) == ([0, 1, 3], [0, 1, 1])


def test_a_pulled_set_tells_whether_its_document_was_read(service: Service) -> None:
    ended, report = run(service, sets=["tales"], ks=[1])
    assert ended["progress"]["total"] == 6
    assert means(report, "gold_passage_read") == {"hybrid@1": 0}


def test_an_endpoint_that_does_not_echo_fails_the_item_in_so_many_words(service: Service) -> None:
    deaf.add("echo")
    try:
        ended, _ = run(service, sets=["choices"], ks=[], indexes=[])
    finally:
        deaf.clear()
    assert ended["progress"] == {"done": 3, "total": 3, "failed": 3}
    assert all("no echoed log-probabilities" in item["error"] for item in service.items(ended["id"]))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"sets": ["nope"]}, "Known: choices, short, sums"),
        ({"closed_book": False, "indexes": []}, "There is no setting"),
        ({"sets": ["short"], "closed_book": False, "ks": [2], "orders": ["best_first"]}, "leave best_last"),
        ({"ks": [0]}, "greater than or equal to 1"),
    ],
)
def test_what_cannot_be_is_refused(service: Service, options: dict[str, Any], says: str) -> None:
    refused = service.http.post("/v1/evaluations", json={"suite": "rag", "options": options})
    assert (refused.status_code, refused.json()["code"]) == (422, "bad_option")
    assert says in refused.json()["detail"]
