"""Synthesis of pairs by a language model: what is kept, what is dropped, and that nothing is done twice."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.retrieval.training.pairs import read_pairs
from services.retrieval.training.pool import pool
from services.retrieval.training.split import held_out
from services.retrieval.training.synthesis.prompts import VERSION, parse, points_at_a_text
from services.retrieval.training.synthesis.run import Message, synthesise
from services.retrieval.training.synthesis.store import Store
from services.retrieval.training.synthesis.tasks import KINDS, Kind, Task, tasks
from tests.retrieval_support import HashingEncoder, datastore

WORDS = ["ant", "bee", "cat", "dog", "elk", "fox", "gnu", "hen", "ibis", "jay"]
COUNT = 6
QUERY = " ".join(WORDS)
"""Near to every passage."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    texts = [" ".join([word, *WORDS] * 12) for word in WORDS]
    datastore(home, {"papers": [*texts, "too short to reason about"], "secret": texts})
    return home


def todo(home: Path, kinds: Sequence[Kind] = KINDS, held: float = 0.0) -> list[Task]:
    from services.retrieval.datastore.catalogue import Catalogue

    main = Catalogue(home / "retrieval", HashingEncoder.card).get("main")
    assert main
    return tasks(pool(main.of(["papers"])), kinds, held=held, count=COUNT)


def last(talk: Sequence[Message]) -> str:
    return talk[-1]["content"]


def answer(talk: Sequence[Message], query: str = "why does the ant sleep", negative: str = "nothing " * 3000) -> str:
    """What a model that does as it is told says next."""
    if '"negative"' in last(talk):
        return json.dumps({"negative": negative})
    if '"positive"' in last(talk):
        return f"Here it is:\n```json\n{json.dumps({'query': query, 'positive': f'{query} ' * 1000})}\n```"
    return json.dumps({"query": query}) if '"query"' in last(talk) else "Somebody breeds ants."


def run(home: Path, out: Path, ask, at_once: int = 2, kinds: Sequence[Kind] = KINDS) -> None:  # type: ignore[no-untyped-def]
    with Store(out) as store:
        work = synthesise(
            todo(home, kinds), ask, HashingEncoder(), store, model="m", held=0.0, margin=0.05, at_once=at_once
        )
        asyncio.run(work)


def lines(file: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_every_pair_says_where_it_comes_from_and_its_negative_was_asked_for_in_a_turn_of_its_own(
    home: Path, tmp_path: Path
) -> None:
    talks: list[list[str]] = []

    async def ask(task: str, talk: Sequence[Message]) -> str:
        talks.append([message["role"] for message in talk])
        return answer(talk, query=QUERY)

    run(home, tmp_path, ask)
    rows, known = lines(tmp_path / "pairs.jsonl"), {task.id: task for task in todo(home)}
    assert {row["task"] for row in rows} == known.keys()
    for row in rows:
        task = known[row["task"]]
        assert (row["owner"], row["document"], row["passage"]) == ("papers", task.passage.document, task.passage.id)
        assert (row["kind"], row["licence"]) == (task.kind, task.passage.licence)
        assert (row["model"], row["prompts"]) == ("m", VERSION)
        assert row["kind"] == "varied" or row["positive"] == task.passage.text
    assert {row["kind"] for row in rows} == {*KINDS}
    assert ["user", "assistant", "user", "assistant", "user"] in talks, "task, query with document, negative"
    assert len(read_pairs(tmp_path / "pairs.jsonl")) == COUNT


def test_tasks_are_the_same_at_every_start_and_of_no_document_that_is_held_out(home: Path) -> None:
    assert todo(home) == todo(home)
    documents = [task.passage.document for task in todo(home, held=0.5)]
    assert documents
    assert not any(held_out(document, 0.5) for document in documents)
    assert "papers-source:10" not in documents, "too short"


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"query": "what does the passage say of ants"}, "refers to a text"),
        ({"negative": "short"}, "too short"),
        ({"query": " "}, "unparsable"),
    ],
)
def test_what_cannot_be_used_is_counted_by_its_reason(
    home: Path, tmp_path: Path, given: dict[str, str], reason: str
) -> None:
    async def ask(task: str, talk: Sequence[Message]) -> str:
        return answer(talk, **given)

    run(home, tmp_path, ask)
    with Store(tmp_path) as store:
        assert (store.dropped, len(store.made)) == ({reason: COUNT}, 0)
    assert all(row["answer"] and row["owner"] == "papers" for row in lines(tmp_path / "dropped.jsonl"))


def test_a_negative_above_the_positive_less_the_margin_is_dropped_and_no_other(home: Path, tmp_path: Path) -> None:
    encoder, negatives = HashingEncoder(), {}
    for number, task in enumerate(todo(home, ["hard"])):
        negatives[task.id] = f"{QUERY} " * 60 if number % 2 else f"yew {'ivy ' * number}{'oak ' * (5 - number)}" * 60

    async def ask(task: str, talk: Sequence[Message]) -> str:
        return answer(talk, QUERY, negatives[task])

    run(home, tmp_path, ask, kinds=["hard"])
    kept = {row["task"] for row in lines(tmp_path / "pairs.jsonl")}
    expected = set()
    for task in todo(home, ["hard"]):
        asked, right, wrong = encoder.encode([QUERY, task.passage.text, negatives[task.id].strip()])
        if asked @ wrong <= asked @ right - 0.05:
            expected.add(task.id)
    assert kept == expected
    assert 0 < len(kept) < COUNT, "the example has both"


def test_no_more_conversations_at_once_than_allowed_and_an_error_of_the_endpoint_ends_the_run(
    home: Path, tmp_path: Path
) -> None:
    open_now: set[str] = set()
    most, calls = 0, 0

    async def ask(task: str, talk: Sequence[Message]) -> str:
        nonlocal most, calls
        calls += 1
        if calls == 9:
            raise ConnectionError
        open_now.add(task)
        most = max(most, len(open_now))
        await asyncio.sleep(0)
        open_now.discard(task)
        return answer(talk, query=QUERY)

    with pytest.raises(ConnectionError):
        run(home, tmp_path, ask, at_once=3)
    assert most <= 3
    done = len(lines(tmp_path / "pairs.jsonl"))
    assert done < COUNT
    run(home, tmp_path, ask, at_once=3)
    rows = lines(tmp_path / "pairs.jsonl")
    assert len(rows) == len({row["task"] for row in rows}) == COUNT


@given(
    st.dictionaries(st.text(), st.text(), max_size=3),
    st.text(alphabet=st.characters(exclude_characters="{")),
    st.text(),
)
def test_an_object_is_found_whatever_stands_around_it(fields: dict[str, str], before: str, after: str) -> None:
    found = parse(before + json.dumps(fields) + after, tuple(fields))
    expected = {name: text.strip() for name, text in fields.items()}
    assert found == (expected if all(expected.values()) else None)


@given(st.text())
def test_no_answer_breaks_the_reading_of_it(text: str) -> None:
    parse(text, ("query",))
    parse("{" + text, ("query",))
    parse(f'{{"query": {text}', ("query",))


def test_a_query_that_points_at_a_text_is_known() -> None:
    assert points_at_a_text("What does the author of this article claim?")
    assert points_at_a_text("According to the text, who won?")
    assert not points_at_a_text("My ants stopped moving when the room became cold; why?")


SERVER = """
import json, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tests.unit.retrieval.test_synthesis import QUERY, answer

class Model(BaseHTTPRequestHandler):
    def do_POST(self):
        talk = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["messages"]
        with open(sys.argv[1] + ".asked", "a") as asked:
            asked.write("asked\\n")
        time.sleep(0.1)
        body = json.dumps({"choices": [{"message": {"content": answer(talk, query=QUERY)}}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): ...

server = ThreadingHTTPServer(("127.0.0.1", 0), Model)
Path(sys.argv[1]).write_text(f"{server.server_port}\\n")
server.serve_forever()
"""

CLIENT = """
import asyncio, sys
from pathlib import Path
from gateway.cli.synthesise import asking
from services.evaluation.endpoint import Endpoint
from services.retrieval.training.synthesis.run import synthesise
from services.retrieval.training.synthesis.store import Store
from tests.retrieval_support import HashingEncoder
from tests.unit.retrieval.test_synthesis import todo

async def main(url, home, out):
    async with Endpoint(url, run="r", api_key=None, timeout=60, patience=60) as endpoint:
        with Store(Path(out)) as store:
            ask = asking(endpoint, "m")
            more = {"model": "m", "held": 0.0, "margin": 0.05, "at_once": 1}
            await synthesise(todo(Path(home)), ask, HashingEncoder(), store, **more)

asyncio.run(main(*sys.argv[1:]))
"""


def waited(file: Path, lines: int) -> None:
    until = time.monotonic() + 120
    while not file.is_file() or file.read_text().count("\n") < lines:
        assert time.monotonic() < until, f"{file} is not there"
        time.sleep(0.02)


def test_a_run_killed_by_force_goes_on_and_does_nothing_twice(home: Path, tmp_path: Path) -> None:
    root, port, out = str(Path.cwd()), tmp_path / "port", tmp_path / "out"
    environment = os.environ | {"PYTHONPATH": root}
    server = subprocess.Popen([sys.executable, "-c", SERVER, str(port), root], env=environment)
    try:
        waited(port, 1)
        line = [sys.executable, "-c", CLIENT, f"http://127.0.0.1:{port.read_text().strip()}", str(home), str(out)]
        with subprocess.Popen(line, env=environment) as killed:
            waited(out / "pairs.jsonl", 2)
            killed.send_signal(signal.SIGKILL)
        before = lines(out / "pairs.jsonl")
        assert 2 <= len(before) < COUNT
        with (out / "pairs.jsonl").open("a") as file:
            file.write('{"query": "half a li')  # as a kill in the midst of a write would leave it
        subprocess.run(line, env=environment, check=True, timeout=300)
        after = lines(out / "pairs.jsonl")
        assert after[: len(before)] == before
        assert len(after) == len({row["task"] for row in after}) == COUNT
        asked = len((tmp_path / "port.asked").read_text().splitlines())
        turns = sum(3 if row["kind"] == "varied" else 2 for row in after)
        assert turns <= asked <= turns + 3, "only the conversation that was killed is held again"
    finally:
        server.kill()
        server.wait()
