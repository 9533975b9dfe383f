"""Answers of the real stack: what they say of themselves is true, whole and streamed, and any owner can be left out."""

import json
import re
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from shared.contracts.candor import AnswerChunk, ChatAnswer
from shared.contracts.gateway import LedgerPage, StoredTrace

# some answers are composed by eight samples on a busy machine
PATIENCE = 300
QUICK = {"sampling": {"samples": 2, "budget": 24}}


@pytest.fixture(scope="module")
def client(stack: str) -> httpx.Client:
    return httpx.Client(base_url=stack, timeout=PATIENCE)


@pytest.fixture(scope="module")
def python(stack: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{stack}/v1", api_key="none needed", timeout=PATIENCE, max_retries=0)


@pytest.fixture(scope="module")
def news_question(candor_home: Path) -> str:
    """A question that an article of the owner `news` answers."""
    with (candor_home / "questions" / "coqa-cnn.jsonl").open(encoding="utf-8") as lines:
        questions = [json.loads(line) for line in lines]
    found: str = next(q["question"] for q in questions if q.get("standalone") and len(q["question"].split()) > 7)
    return found


def ask(client: httpx.Client, question: str, model: str = "candor", **body: Any) -> ChatAnswer:
    messages = [{"role": "user", "content": question}]
    response = client.post("/v1/chat/completions", json={"model": model, "messages": messages, **body})
    assert response.status_code == 200, response.text
    return ChatAnswer.model_validate_json(response.content)


def test_an_answer_shows_its_passages_samples_spans_ledger_and_timings(client: httpx.Client) -> None:
    answer = ask(client, "How many boroughs does New York City have?")
    report, text = answer.candor, answer.choices[0].message.content
    assert [passage.n for passage in report.passages] == list(range(1, len(report.passages) + 1))
    assert len(report.passages) > 0
    assert len(report.samples) > 1
    assert report.samples[report.winner].votes == max(sample.votes for sample in report.samples)
    assert report.failed == []
    assert report.trace is not None
    assert all(text[span.start : span.end] == span.text for span in report.trace.spans)
    assert [entry.owner for entry in report.ledger] == report.owners.effective
    assert sum(entry.passages for entry in report.ledger) == len(report.passages)
    assert 0 < report.timings.generate < report.timings.total
    assert answer.usage.completion_tokens == sum(sample.tokens for sample in report.samples)


def test_markers_and_annotations_agree_and_point_at_passages_that_were_read(client: httpx.Client) -> None:
    answer = ask(client, "How many boroughs does New York City have?", candor=QUICK)
    text, notes = answer.choices[0].message.content, answer.choices[0].message.annotations
    for note in notes:
        citation = note.url_citation
        marker = text[citation.start_index : citation.end_index]
        passage = answer.candor.passages[int(marker.strip("[]")) - 1]
        assert citation.title == passage.title
        assert client.get(citation.url).json()["id"] == passage.document


def test_leaving_an_owner_out_changes_passages_spans_and_routing(client: httpx.Client, news_question: str) -> None:
    whole = ask(client, news_question, candor={**QUICK, "retrieval": {"k": 5}}).candor
    assert "news" in whole.owners.effective
    assert any(passage.owner == "news" for passage in whole.passages)
    without = ask(
        client, news_question, candor={**QUICK, "retrieval": {"k": 5}, "owners": {"exclude": ["news"]}}
    ).candor
    assert "news" not in without.owners.effective
    assert all(passage.owner != "news" for passage in without.passages)
    assert without.trace is not None
    assert "news" not in without.trace.corpora
    assert all(found.owner != "news" for span in without.trace.spans for found in span.documents)
    assert "news" not in [entry.owner for entry in without.ledger]


def test_spans_that_the_answer_copied_from_the_question_or_a_passage_are_marked(client: httpx.Client) -> None:
    report = ask(client, "How many boroughs does New York City have?", candor={"trace": {"max_spans": 50}}).candor
    assert report.trace is not None
    passages = {passage.id: passage.text for passage in report.passages}
    for span in report.trace.spans:
        assert {*span.in_passages} <= {*passages}
        assert all(span.text in passages[identity] for identity in span.in_passages)
    assert any(span.in_passages for span in report.trace.spans)
    kept = StoredTrace.model_validate_json(client.get(f"/v1/traces/{report.trace.id}").content)
    assert [span.in_passages for span in kept.trace.spans] == [span.in_passages for span in report.trace.spans]


def test_what_was_said_before_the_question_counts_as_the_prompt(client: httpx.Client) -> None:
    text = "The import statement combines two operations; it searches for the named module."
    messages = [
        {"role": "system", "content": "Repeat what you were told."},
        {"role": "user", "content": text},
        {"role": "assistant", "content": text},
        {"role": "user", "content": f"Say it again: {text}"},
    ]
    body = {"model": "candor-trace", "messages": messages, "candor": {**QUICK, "trace": {"max_spans": 50}}}
    report = ChatAnswer.model_validate_json(client.post("/v1/chat/completions", json=body).content).candor
    assert report.trace is not None
    for span in report.trace.spans:
        assert span.in_passages == []
        assert span.in_prompt or span.text not in text


def test_including_an_owner_leaves_that_one_and_the_public_one(client: httpx.Client) -> None:
    report = ask(client, "What is a decorator?", candor={**QUICK, "owners": {"include": ["python"]}}).candor
    assert report.owners.effective == ["encyclopedia", "python"]
    assert {passage.owner for passage in report.passages} <= {"encyclopedia", "python"}
    assert {entry.owner for entry in report.ledger} == {"encyclopedia", "python"}


@pytest.mark.parametrize(
    ("model", "passages", "traced", "samples"),
    [
        ("candor-plain", False, False, 1),
        ("candor-rag", True, False, 2),
        ("candor-trace", False, True, 2),
    ],
)
def test_a_model_name_says_what_runs(
    client: httpx.Client, model: str, passages: bool, traced: bool, samples: int
) -> None:
    extension = {} if model == "candor-plain" else {"candor": QUICK}
    report = ask(client, "What is photosynthesis?", model, max_tokens=24, **extension).candor
    assert (bool(report.passages), report.trace is not None, len(report.samples)) == (passages, traced, samples)


def test_the_same_seed_gives_the_same_answer(client: httpx.Client) -> None:
    answers = [ask(client, "Who wrote about whales?", seed=7, candor=QUICK).candor.samples for _ in range(2)]
    assert [sample.text for sample in answers[0]] == [sample.text for sample in answers[1]]


def test_n_choices_are_the_best_n_samples_the_winner_first(client: httpx.Client) -> None:
    answer = ask(client, "Name a river.", "candor-plain", n=3, max_tokens=12, temperature=1)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert sorted(choice.message.content for choice in answer.choices) == sorted(
        sample.text for sample in answer.candor.samples
    )
    assert answer.choices[0].message.content == answer.candor.samples[answer.candor.winner].text


def test_unknown_outer_fields_are_accepted_and_listed(client: httpx.Client) -> None:
    answer = ask(client, "Hello there", "candor-plain", max_tokens=4, frobnicate=1)
    assert any("frobnicate" in warning for warning in answer.warnings)


@pytest.mark.parametrize("stream", [False, True])
def test_too_long_a_prompt_is_a_400_that_names_messages(client: httpx.Client, stream: bool) -> None:
    messages = [{"role": "user", "content": "word " * 20_000}]
    for candor in ({"sampling": {"samples": 1}, "retrieval": False}, {"sampling": {"samples": 2}, "retrieval": False}):
        body = {"model": "candor", "messages": messages, "stream": stream, "candor": candor}
        response = client.post("/v1/chat/completions", json=body)
        assert (response.status_code, response.json()["error"]["param"]) == (400, "messages")


def test_an_answer_is_in_the_ledger_and_its_trace_is_kept(client: httpx.Client) -> None:
    answer = ask(client, "What does the heart pump?", candor=QUICK)
    page = LedgerPage.model_validate_json(client.get("/v1/ledger", params={"limit": 5}).content)
    record = next(found for found in page.data if found.id == answer.id)
    assert (record.owners, record.entries) == (answer.candor.owners, answer.candor.ledger)
    assert answer.candor.trace is not None
    stored = StoredTrace.model_validate_json(client.get(f"/v1/traces/{answer.candor.trace.id}").content)
    assert (stored.text, stored.trace) == (answer.choices[0].message.content, answer.candor.trace)


def test_the_time_of_each_stage_is_in_a_header(client: httpx.Client) -> None:
    body = {"model": "candor-plain", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2}
    header = client.post("/v1/chat/completions", json=body).headers["server-timing"]
    assert {part.split(";")[0].strip() for part in header.split(",")} >= {"retrieve", "generate", "trace", "overhead"}


def test_openai_python_reads_answer_and_extension_unmodified(python: openai.OpenAI) -> None:
    answer = python.chat.completions.create(
        model="candor",
        messages=[{"role": "user", "content": "How many boroughs does New York City have?"}],
        extra_body={"candor": {"owners": {"exclude": ["news"]}, **QUICK}},
    )
    assert answer.choices[0].message.content
    extension = (answer.model_extra or {})["candor"]
    assert "news" not in extension["owners"]["effective"]
    assert extension["passages"]


@pytest.mark.parametrize("samples", [1, 2])
def test_openai_python_streams_the_text_and_the_report_comes_once_at_the_end(
    python: openai.OpenAI, samples: int
) -> None:
    stream = python.chat.completions.create(
        model="candor",
        messages=[{"role": "user", "content": "How many boroughs does New York City have?"}],
        stream=True,
        stream_options={"include_usage": True},
        extra_body={"candor": {"sampling": {"samples": samples, "budget": 24}}},
    )
    chunks = [AnswerChunk.model_validate(chunk.model_dump()) for chunk in stream]
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert [chunk.candor is not None for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    report = chunks[-1].candor
    assert report is not None
    assert re.sub(r" \[\d+\]", "", text) == report.samples[report.winner].text
    assert report.trace is not None
    assert all(text[span.start : span.end] == span.text for span in report.trace.spans)
    assert chunks[-1].usage is not None
    assert chunks[0].choices[0].delta.role == "assistant"


def test_openai_python_raises_its_own_errors(python: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        python.chat.completions.create(model="nothing", messages=[{"role": "user", "content": "x"}])
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as invalid:
        python.chat.completions.create(model="candor", messages=[])
    assert invalid.value.param == "messages"


def test_openai_python_lists_the_models_and_embeds(python: openai.OpenAI) -> None:
    assert [model.id for model in python.models.list()] == ["candor", "candor-rag", "candor-trace", "candor-plain"]
    assert python.models.retrieve("candor-rag").id == "candor-rag"
    assert len(python.embeddings.create(model="minilm", input=["a", "b"]).data[1].embedding) == 384


def test_openai_python_completes_text_with_the_experts_of_effective_owners(python: openai.OpenAI) -> None:
    choice = python.completions.create(
        model="candor",
        prompt="The capital of France is",
        max_tokens=3,
        temperature=0,
        echo=True,
        logprobs=1,
        extra_body={"candor": {"owners": {"include": []}}},
    )
    assert choice.choices[0].text.startswith("The capital of France is")
    assert choice.choices[0].logprobs is not None
    assert (choice.model_extra or {})["candor"]["owners"]["effective"] == ["encyclopedia"]
    stream = python.completions.create(model="candor", prompt="The capital of France is", max_tokens=3, stream=True)
    chunks = list(stream)
    assert "".join(part.text for chunk in chunks for part in chunk.choices)
    assert (chunks[-1].model_extra or {})["candor"]["ledger"]


def test_token_ids_are_a_prompt_too(client: httpx.Client) -> None:
    body = {"model": "candor", "prompt": [[504, 3575], [28]], "max_tokens": 0, "echo": True, "logprobs": 1}
    response = client.post("/v1/completions", json=body)
    assert response.status_code == 200, response.text
    assert len(response.json()["choices"]) == 2


@pytest.mark.parametrize("owners", [["news"], []])
def test_a_search_is_among_the_owners_named_and_the_public_ones(client: httpx.Client, owners: list[str]) -> None:
    found = client.post("/v1/search", json={"query": "soldiers in a war", "k": 20, "owners": owners}).json()
    assert set(found["owners"]) == {"encyclopedia", *owners}
    assert {passage["owner"] for passage in found["results"][0]} <= {"encyclopedia", *owners}


@pytest.mark.parametrize(("domains", "owners"), [("news", {"news"}), ("dpr_wiki", set()), ("news,dpr_wiki", {"news"})])
def test_a_client_of_massive_serve_has_the_owners_it_names(
    client: httpx.Client, domains: str, owners: set[str]
) -> None:
    found = client.post("/search", json={"query": "soldiers in a war", "n_docs": 20, "domains": domains}).json()
    assert set(found["owners"]) == {"encyclopedia"} | owners
    assert set(found["passage_owners"][0]) <= {"encyclopedia"} | owners


def test_documents_are_found_through_both_indexes_unless_their_owner_is_left_out(client: httpx.Client) -> None:
    found = client.post("/v1/search", json={"query": "soldiers in a war", "k": 20, "index": "bm25"}).json()
    passage = next(passage for passage in found["results"][0] if passage["owner"] == "news")
    document = f"documents/{passage['document']}"
    assert passage["text"][:40] in client.get(f"/v1/datastores/main/{document}").json()["text"]
    assert client.get(f"/v1/datastores/main/{document}", params={"owners": ["papers"]}).status_code in (403, 404)
    assert client.get(f"/v1/corpora/news/{document}").json()["owner"] == "news"
    assert client.get(f"/v1/corpora/news/{document}", params={"owners": ["papers"]}).status_code in (403, 404)


def test_counting_finding_and_tracing_forget_an_owner_that_is_not_named(client: httpx.Client) -> None:
    body = {"text": "of the"}
    whole = client.post("/v1/count", json=body).json()
    some = client.post("/v1/count", json={**body, "owners": ["news"]}).json()
    assert {corpus["owner"] for corpus in some["corpora"]} <= {"encyclopedia", "news"}
    assert 0 < some["count"] < whole["count"]
    find = client.post("/v1/find", json={**body, "owners": ["news"], "limit": 50}).json()
    assert {found["owner"] for found in find["occurrences"]} <= {"encyclopedia", "news"}
    trace = client.post("/v1/trace", json={"text": "He said that he was sorry.", "owners": ["news"]}).json()
    assert set(trace["owners"]) == {"encyclopedia", "news"}
    for path in ("/v1/count", "/v1/trace"):
        batch = client.post(f"{path}/batch", json={"items": [{**body, "owners": ["news"]}, body]}).json()["data"]
        assert [set(one["owners"]) for one in batch] == [{"encyclopedia", "news"}, {*whole["owners"]}]


def test_a_match_is_shown_in_a_longer_view_through_the_gateway(client: httpx.Client) -> None:
    trace = client.post("/v1/trace", json={"text": "He said that he was sorry.", "owners": ["news"]}).json()
    match = trace["spans"][0]["documents"][0]
    path = f"/v1/corpora/{match['corpus']}/documents/{match['id']}"
    view = client.get(path, params={"token": match["token"], "tokens": match["tokens"], "context": 100}).json()
    assert view["text"][view["match_start"] : view["match_end"]] == trace["spans"][0]["text"]
    assert match["snippet"] in view["text"]
    assert client.get(path, params={"token": 10**8}).json()["field"] == "token"


def test_a_score_is_computed_by_the_experts_of_the_owners_named(client: httpx.Client) -> None:
    score = client.post("/v1/score", json={"texts": ["The heart pumps blood."], "owners": []}).json()
    assert score["candor"]["experts"] == ["public"]
    assert all(share == 0 for expert, share in score["data"][0]["routing"].items() if expert != "public")


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/v1/datastores", "list"),
        ("/v1/corpora", "list"),
        ("/v1/experts", "list"),
        ("/v1/suites", "list"),
        ("/v1/evaluations", "list"),
    ],
)
def test_every_resource_of_the_services_is_under_the_gateway(client: httpx.Client, path: str, kind: str) -> None:
    response = client.get(path)
    assert (response.status_code, response.json()["object"]) == (200, kind)


def test_a_services_refusal_is_passed_on(client: httpx.Client) -> None:
    response = client.post("/v1/search", json={"query": "x", "datastore": "atlantis"})
    assert (response.status_code, response.headers["content-type"]) == (404, "application/problem+json")
    body = {"model": "candor", "messages": [{"role": "user", "content": "x y z"}]}
    response = client.post("/v1/chat/completions", json={**body, "candor": {"retrieval": {"datastore": "atlantis"}}})
    assert (response.status_code, response.json()["error"]["param"]) == (404, "candor.retrieval.datastore")


def test_it_is_ready_when_every_service_is(client: httpx.Client) -> None:
    response = client.get("/readyz")
    assert (response.status_code, response.json()["ready"]) == (200, True)


def test_a_text_is_traced_while_it_is_written(client: httpx.Client) -> None:
    pieces = ["He said that he was", " sorry. And he", " said it again."]
    lines = [{"text": pieces[0], "owners": ["news"]}, *({"text": piece} for piece in pieces[1:])]
    body = "".join(json.dumps(line) + "\n" for line in lines)
    answer = client.post("/v1/trace/stream", content=body)
    assert answer.headers["content-type"].startswith("text/event-stream")
    names = [line.removeprefix("event: ") for line in answer.text.splitlines() if line.startswith("event: ")]
    assert names == ["spans", "trace"]
    last = json.loads(answer.text.split("event: trace\ndata: ")[1])
    whole = client.post("/v1/trace", json={"text": "".join(pieces), "owners": ["news"]}).json()
    assert last["spans"] == whole["spans"]
    assert "news" in last["owners"]
    unknown = client.post("/v1/trace/stream", content=json.dumps({"text": "a", "owners": ["nobody"]}))
    assert "unknown_owner" in unknown.text
