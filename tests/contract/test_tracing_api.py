"""The tracing service over HTTP: the real app, on corpora of CPython's manual."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.tracing.app import create_app
from services.tracing.index.build import build_all
from services.tracing.settings import TracingSettings, tokenizer_in
from tests.tracing_support import manual, owner, serving, settings_in, train_tokenizer, write_texts

OWNERS = {"encyclopedia": slice(0, 40), "papers": slice(40, 80), "python": slice(80, 120)}
PUBLIC = "encyclopedia"


def settings_for(home: Path) -> TracingSettings:
    return settings_in(home, max_characters=20_000)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    train_tokenizer(tokenizer_in(home))
    for name, part in OWNERS.items():
        write_texts(home / "texts" / name / "manual.jsonl", name, manual()[part])
    build_all(home, [owner(name, public=name == PUBLIC) for name in OWNERS], lambda _: None)
    return home


@pytest.fixture(scope="module")
def client(home: Path) -> Iterator[httpx.Client]:
    with serving(create_app(settings_for(home))) as client:
        yield client


def ask(client: httpx.Client, path: str, **body: object) -> Any:
    response = client.post(path, json=body)
    assert response.status_code == 200, response.text
    return response.json()


def text_of(name: str) -> str:
    """All of an owner's text, to look things up in."""
    return "\n\n".join(manual()[OWNERS[name]])


def test_spans_and_their_matches_are_what_the_offsets_say(client: httpx.Client) -> None:
    text = f"As they say: {manual()[85]} And {manual()[45]}"
    answer = ask(client, "/v1/trace", text=text, owners=[*OWNERS], max_spans=50)
    assert answer["owners"] == answer["corpora"] == sorted(OWNERS)
    assert answer["spans"]
    for span in answer["spans"]:
        assert text[span["start"] : span["end"]] == span["text"]
        assert span["count"] >= len(span["documents"]) > 0
        for document in span["documents"]:
            assert document["snippet"][document["match_start"] : document["match_end"]] == span["text"]
            assert document["snippet"] in text_of(document["owner"])
            assert document["corpus"] == document["owner"] == document["id"].split(":")[1].split("-")[0]
    assert {document["owner"] for span in answer["spans"] for document in span["documents"]} >= {"papers", "python"}
    assert answer["timings"]["total"] > 0


def test_without_owners_only_public_ones_are_searched(client: httpx.Client) -> None:
    answer = ask(client, "/v1/trace", text=manual()[85], max_spans=50)
    assert answer["owners"] == [PUBLIC]
    assert {document["owner"] for span in answer["spans"] for document in span["documents"]} <= {PUBLIC}
    assert [one["corpus"] for one in ask(client, "/v1/count", text="the")["corpora"]] == [PUBLIC]
    assert ask(client, "/v1/find", text="the")["owners"] == [PUBLIC]


def test_no_owners_at_all_means_that_nothing_is_searched(client: httpx.Client) -> None:
    answer = ask(client, "/v1/trace", text=manual()[5], owners=[])
    assert (answer["spans"], answer["owners"]) == ([], [])
    assert ask(client, "/v1/count", text="the", owners=[])["count"] == 0


def test_an_owner_left_out_is_in_no_answer(client: httpx.Client) -> None:
    text = " ".join(manual()[70:90])
    for path, body in (("/v1/trace", {"max_spans": 99}), ("/v1/count", {}), ("/v1/find", {"limit": 100})):
        probe = text if path == "/v1/trace" else "the"
        answer = ask(client, path, text=probe, owners=["encyclopedia", "python"], **body)
        assert "papers" not in str(answer).replace(probe, "")


def test_counts_are_of_the_text_with_a_space_before_it_or_without(client: httpx.Client) -> None:
    everything = ask(client, "/v1/count", text="the", owners=[*OWNERS])
    spaced = ask(client, "/v1/count", text=" the", owners=[*OWNERS])
    exact = ask(client, "/v1/count", tokens=everything["tokens"], owners=[*OWNERS])
    assert everything["count"] == spaced["count"] + exact["count"]
    assert everything["count"] == sum(one["count"] for one in everything["corpora"])
    assert min(spaced["count"], exact["count"]) > 0


def test_occurrences_are_where_they_say_in_their_documents(client: httpx.Client) -> None:
    answer = ask(client, "/v1/find", text="the", owners=[*OWNERS], limit=100, context=5)
    assert len(answer["occurrences"]) == 100 < answer["count"]
    for found in answer["occurrences"]:
        document = client.get(
            f"/v1/corpora/{found['corpus']}/documents/{found['id']}", params={"owners": [found["owner"]]}
        ).json()
        assert document["text"][found["start"] : found["end"]] == "the"
        assert found["snippet"] in document["text"]
        assert found["snippet"][found["match_start"] : found["match_end"]] == "the"
        assert document["title"] == found["title"]


def test_the_corpora_are_listed_with_their_owners(client: httpx.Client) -> None:
    answer = client.get("/v1/corpora").json()
    assert [(one["id"], one["owner"], one["public"], one["documents"]) for one in answer["data"]] == [
        ("encyclopedia", "encyclopedia", True, 40),
        ("papers", "papers", False, 40),
        ("python", "python", False, 40),
    ]
    assert all(one["tokens"] > 0 and one["bytes"] > 0 and one["segments"] == 1 for one in answer["data"])


def test_a_document_is_given_only_to_who_may_have_it(client: httpx.Client) -> None:
    path = "/v1/corpora/papers/documents/manual:papers-3"
    assert client.get(path, params={"owners": ["papers"]}).json()["text"] == manual()[43]
    assert client.get(path).status_code == 403
    assert client.get(path, params={"owners": ["python"]}).json()["code"] == "owner_not_permitted"
    assert client.get("/v1/corpora/encyclopedia/documents/manual%3Aencyclopedia-3").json()["text"] == manual()[3]


def test_a_registered_owner_without_a_corpus_is_a_warning(client: httpx.Client) -> None:
    answer = ask(client, "/v1/trace", text="the import statement", owners=["encyclopedia", "news"])
    assert answer["owners"] == ["encyclopedia"]
    assert "news" in answer["warnings"][0]


@pytest.mark.parametrize(
    ("path", "body", "status", "field"),
    [
        ("/v1/trace", {"text": "x", "owners": ["nobody"]}, 404, "owners"),
        ("/v1/trace", {"text": "x", "corpora": ["nothing"]}, 404, "corpora"),
        ("/v1/trace", {"text": "x", "corpora": ["papers"]}, 403, "corpora"),
        ("/v1/trace", {"text": "x", "corpora": ["papers"], "owners": ["python"]}, 403, "corpora"),
        ("/v1/trace", {"text": ""}, 422, "text"),
        ("/v1/trace", {"text": "x", "documents": 101}, 422, "documents"),
        ("/v1/trace", {"text": "x", "min_length": 0}, 422, "min_length"),
        ("/v1/trace", {"text": "x", "shades": 3}, 422, "shades"),
        ("/v1/trace", {"text": "x " * 500_000}, 413, "text"),
        ("/v1/trace", {"text": "x", "prompt": "x" * 20_001}, 413, "prompt"),
        ("/v1/trace", {}, 422, "text"),
        ("/v1/count", {"text": "x", "tokens": [1]}, 422, "text"),
        ("/v1/count", {}, 422, "text"),
        ("/v1/count", {"tokens": [65535]}, 422, "tokens"),
        ("/v1/count", {"tokens": [-1]}, 422, "tokens.0"),
        ("/v1/count", {"tokens": [1] * 20_001}, 413, "tokens"),
        ("/v1/find", {"text": "x", "limit": 0}, 422, "limit"),
        ("/v1/find", {"text": "x" * 20_001}, 413, "text"),
    ],
)
def test_bad_input_is_answered_with_the_field_at_fault(
    path: str, body: dict[str, Any], status: int, field: str, client: httpx.Client
) -> None:
    response = client.post(path, json=body)
    assert (response.status_code, response.json()["field"]) == (status, field)
    assert response.headers["content-type"] == "application/problem+json"


def test_a_lone_surrogate_is_refused_and_not_a_crash(client: httpx.Client) -> None:
    headers = {"content-type": "application/json"}
    for path, field in (("/v1/trace", "text"), ("/v1/count", "text"), ("/v1/find", "text")):
        response = client.post(path, content=b'{"text": "half \\ud800 a pair"}', headers=headers)
        assert (response.status_code // 100, response.json()["field"]) == (4, field)


def test_half_a_character_can_be_counted_but_not_shown(client: httpx.Client) -> None:
    tokens = ask(client, "/v1/count", text="\U00050000")["tokens"][:1]
    assert ask(client, "/v1/count", tokens=tokens)["count"] == 0
    assert client.post("/v1/find", json={"tokens": tokens}).json()["field"] == "tokens"


@pytest.mark.parametrize("text", ["\n", " ", "\u200d", "😀" * 500, "。" * 50, "a" * 20_000, "<|end|>"])
def test_odd_texts_are_answered(text: str, client: httpx.Client) -> None:
    for path in ("/v1/trace", "/v1/count", "/v1/find"):
        ask(client, path, text=text, owners=[*OWNERS])


def test_unknown_corpora_and_documents_are_not_found(client: httpx.Client) -> None:
    for path in ("/v1/corpora/nothing/documents/x", "/v1/corpora/encyclopedia/documents/x"):
        assert client.get(path).status_code == 404


def test_only_corpora_of_the_requests_owners_are_told_of(client: httpx.Client) -> None:
    for response in (
        client.get("/v1/corpora/nothing/documents/x"),
        client.post("/v1/count", json={"text": "x", "corpora": ["nothing"]}),
    ):
        assert response.json()["detail"] == "There is no corpus 'nothing'. Known: encyclopedia."


def test_a_corpus_can_be_named_as_often_as_one_likes(client: httpx.Client) -> None:
    began = time.perf_counter()
    answer = ask(client, "/v1/count", text="the", owners=[*OWNERS], corpora=["papers"] * 300_000)
    assert [one["corpus"] for one in answer["corpora"]] == ["papers"]
    assert time.perf_counter() - began < 3


def test_a_damaged_segment_is_a_warning_of_readiness_and_of_the_answers_it_is_missing_from(home: Path) -> None:
    (tokens,) = (home / "tracing" / "papers").glob("segment-*/tokens.bin")
    whole = tokens.read_bytes()
    tokens.write_bytes(whole[:-2])
    try:
        with serving(create_app(settings_for(home))) as client:
            readiness = client.get("/readyz")
            assert readiness.status_code == 200
            assert "papers" in readiness.json()["warnings"][0]
            answer = ask(client, "/v1/trace", text="the import statement", owners=["papers", "python"])
            assert answer["owners"] == ["python"]
            assert any("tokens.bin" in warning for warning in answer["warnings"])
    finally:
        tokens.write_bytes(whole)


def test_a_service_without_corpora_is_never_ready_and_says_what_to_do(tmp_path: Path) -> None:
    train_tokenizer(tokenizer_in(tmp_path))
    with serving(create_app(settings_for(tmp_path))) as client:
        assert client.get("/livez").status_code == 200
        readiness = client.get("/readyz")
        assert (readiness.status_code, "candor data build" in readiness.json()["phase"]) == (503, True)
        assert client.post("/v1/trace", json={"text": "x"}).status_code == 503


def test_a_span_says_whether_it_was_just_read(client: httpx.Client) -> None:
    said, asked, new = (
        max(manual()[part], key=len).split("\n")[0] for part in (slice(0, 20), slice(20, 40), slice(40, 60))
    )
    answer = ask(
        client,
        "/v1/trace",
        text=f"{said} {asked} {new}",
        prompt=f"Is it so? {asked}",
        passages=[{"id": "p1", "text": said}, {"id": "p2", "text": "nothing"}],
        owners=[*OWNERS],
        max_spans=99,
    )
    read = {}
    for span in answer["spans"]:
        assert span["in_prompt"] == (span["text"] in asked) or len(span["text"]) < 12
        read[span["text"]] = (span["in_prompt"], span["in_passages"])
    assert (False, ["p1"]) in read.values()
    assert (True, []) in read.values()
    assert (False, []) in read.values()
    assert ask(client, "/v1/trace", text=said)["spans"][0]["in_passages"] == []


def test_passages_are_bounded_as_texts_are(client: httpx.Client) -> None:
    body = {"text": "a", "passages": [{"id": "1", "text": "x" * 20_001}]}
    response = client.post("/v1/trace", json=body)
    assert response.status_code == 413
    assert "passages" in response.json()["detail"]


def test_a_document_of_several_spans_is_told_once(client: httpx.Client) -> None:
    answer = ask(client, "/v1/trace", text=f"{manual()[85]} {manual()[45]}", owners=[*OWNERS], max_spans=50)
    told = {(document["corpus"], document["id"]): document for document in answer["documents"]}
    named = [(match["corpus"], match["id"]) for span in answer["spans"] for match in span["documents"]]
    assert len(told) == len(answer["documents"]) < len(named)
    assert {*told} == {*named}
    assert [document["score"] for document in answer["documents"]] == sorted(
        (document["score"] for document in answer["documents"]), reverse=True
    )
    for span in answer["spans"]:
        for match in span["documents"]:
            assert match["score"] == told[match["corpus"], match["id"]]["score"]
        assert span["relevance"] == told[named_of(span)]["relevance"]
    assert all(document["title"].startswith("Title") for document in told.values())


def named_of(span: dict[str, Any]) -> tuple[str, str]:
    """The best document of a span."""
    return span["documents"][0]["corpus"], span["documents"][0]["id"]


def test_a_match_is_shown_in_a_longer_view_on_demand(client: httpx.Client) -> None:
    answer = ask(client, "/v1/trace", text=manual()[85], owners=[*OWNERS], max_spans=50, context=2)
    for span in answer["spans"]:
        for match in span["documents"]:
            path = f"/v1/corpora/{match['corpus']}/documents/{match['id']}"
            place = {"owners": [match["owner"]], "token": match["token"], "tokens": match["tokens"]}
            near = client.get(path, params={**place, "context": 2}).json()
            assert (near["text"], near["match_start"]) == (match["snippet"], match["match_start"])
            view = client.get(path, params=place).json()
            assert view["text"][view["match_start"] : view["match_end"]] == span["text"]
            assert match["snippet"] in view["text"]
            whole = client.get(path, params={"owners": [match["owner"]]}).json()
            assert view["text"] in whole["text"]
            assert whole["match_start"] is None


def test_a_place_that_a_document_does_not_have_is_refused(client: httpx.Client) -> None:
    path = "/v1/corpora/encyclopedia/documents/manual:encyclopedia-3"
    for place, field in (
        ({"token": 10**6}, "token"),
        ({"token": 0, "tokens": 10**6}, "token"),
        ({"token": -1}, "token"),
        ({"token": 0, "context": 1001}, "context"),
    ):
        response = client.get(path, params=place)
        assert (response.status_code, response.json()["field"]) == (422, field)
    assert client.get("/v1/corpora/papers/documents/manual:papers-3", params={"token": 0}).status_code == 403


def test_a_batch_is_answered_as_one_by_one(client: httpx.Client) -> None:
    traces = [{"text": manual()[n], "owners": [*OWNERS][: 1 + n % 3], "max_spans": 1 + n} for n in range(80, 90)]
    found = ask(client, "/v1/trace/batch", items=traces)["data"]
    for item, answer in zip(traces, found, strict=True):
        alone = ask(client, "/v1/trace", **item)
        assert {**answer, "timings": None} == {**alone, "timings": None}
    counts: list[dict[str, Any]] = [{"text": "the"}, {"tokens": [5, 6]}, {"text": "import", "owners": [*OWNERS]}]
    found = ask(client, "/v1/count/batch", items=counts)["data"]
    assert found == [ask(client, "/v1/count", **item) for item in counts]


@pytest.mark.parametrize(
    ("path", "items", "status", "field"),
    [
        ("/v1/trace/batch", [], 422, "items"),
        ("/v1/trace/batch", [{"text": "x"}] * 33, 422, "items"),
        ("/v1/trace/batch", [{"text": "x"}, {"text": ""}], 422, "items.1.text"),
        ("/v1/trace/batch", [{"text": "x"}, {"text": "x", "corpora": ["papers"]}], 403, "items.1.corpora"),
        ("/v1/trace/batch", [{"text": "x" * 7_000}] * 3, 413, "items"),
        ("/v1/count/batch", [{"text": "x"}] * 257, 422, "items"),
        ("/v1/count/batch", [{"text": "x"}, {}], 422, "items.1.text"),
        ("/v1/count/batch", [{"text": "x"}, {"clauses": [["x"]]}], 422, "items.1.clauses"),
        ("/v1/count/batch", [{"text": "x", "owners": ["nobody"]}], 404, "items.0.owners"),
        ("/v1/count/batch", [{"tokens": [1] * 10_001}] * 2, 413, "items"),
    ],
)
def test_a_bad_item_of_a_batch_is_named(
    path: str, items: list[dict[str, Any]], status: int, field: str, client: httpx.Client
) -> None:
    response = client.post(path, json={"items": items})
    assert (response.status_code, response.json()["field"]) == (status, field)


@pytest.mark.parametrize("body", [{"delimiters": "\ud800"}, {"passages": [{"id": "\ud800", "text": "a"}]}])
def test_half_a_surrogate_pair_is_refused_wherever_it_stands(client: httpx.Client, body: dict[str, object]) -> None:
    content = json.dumps({"text": "the list", **body})
    response = client.post("/v1/trace", content=content, headers={"content-type": "application/json"})
    assert response.status_code == 422, response.text
    assert "surrogate" in response.json()["detail"] or "unicode" in response.json()["detail"]


def test_delimiters_and_whole_words_can_be_set(client: httpx.Client) -> None:
    text = max(manual()[:40], key=len)
    usual = ask(client, "/v1/trace", text=text, max_spans=999)["spans"]
    never = ask(client, "/v1/trace", text=text, max_spans=999, delimiters="")["spans"]
    assert any("." in span["text"][:-1] for span in never)
    assert not any("." in span["text"].rstrip(".")[:-1] for span in usual)
    assert max(span["length"] for span in never) > max(span["length"] for span in usual)
    within = ask(client, "/v1/trace", text="interestingly", max_spans=9, whole_words=False)["spans"]
    assert within
    assert ask(client, "/v1/trace", text="interestingly", max_spans=9)["spans"] == []
