"""An index of infini-gram's, made with another tokenizer, beside corpora of ours: through the real app."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tokenizers import Tokenizer as Encoder
from tokenizers import decoders, models, pre_tokenizers, trainers

from services.tracing.app import create_app
from services.tracing.index.build import build_all
from services.tracing.settings import tokenizer_in
from services.tracing.tokenizer import Tokenizer
from tests.contract.test_tracing_api import ask
from tests.tracing_support import manual, owner, serving, settings_in, train_tokenizer, write_texts
from tests.unit.tracing.test_infini_gram import write_shard

FOREIGN = manual()[40:80]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    train_tokenizer(tokenizer_in(home))
    write_texts(home / "texts" / "ours" / "manual.jsonl", "ours", manual()[:60])
    build_all(home, [owner("ours", public=True)], lambda _: None)
    other = home / "other" / "tokenizer.json"
    encoder = Encoder(models.BPE())
    encoder.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    encoder.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    encoder.train_from_iterator(manual(), trainers.BpeTrainer(vocab_size=500, initial_alphabet=alphabet))
    other.parent.mkdir()
    encoder.save(str(other))
    files = home / "pile"
    files.mkdir()
    tokenizer = Tokenizer(other)
    for shard in (0, 1):
        half = FOREIGN[20 * shard : 20 * shard + 20]
        write_shard(files, [tokenizer.encode(text).ids.tolist() for text in half], shard=shard)
    said = {"owner": "pile", "public": True, "licence": "MIT", "directory": str(files), "tokenizer": str(other)}
    folder = home / "tracing" / "pile"
    folder.mkdir()
    (folder / "infini-gram.json").write_text(json.dumps(said))
    return home


@pytest.fixture(scope="module")
def client(home: Path) -> Iterator[httpx.Client]:
    with serving(create_app(settings_in(home))) as client:
        yield client


def test_it_is_listed_with_its_tokenizer_and_shards(client: httpx.Client) -> None:
    ours, pile = client.get("/v1/corpora").json()["data"]
    assert (ours["id"], pile["id"], pile["segments"], pile["documents"]) == ("ours", "pile", 2, 40)
    assert pile["tokenizer"] != ours["tokenizer"]
    assert pile["licence"] == "MIT"


def test_a_text_is_counted_in_both_and_found_where_it_stands(client: httpx.Client) -> None:
    answer = ask(client, "/v1/count", text="the")
    alone = {name: ask(client, "/v1/count", text="the", corpora=[name]) for name in ("ours", "pile")}
    assert {one["corpus"]: one["count"] for one in answer["corpora"]} == {
        name: found["count"] for name, found in alone.items()
    }
    assert alone["pile"]["count"] > 0
    found = ask(client, "/v1/find", text="the", limit=100)
    assert {one["corpus"] for one in found["occurrences"]} == {"ours", "pile"}
    for one in found["occurrences"]:
        assert one["snippet"][one["match_start"] : one["match_end"]] == "the"


def test_a_trace_has_the_documents_of_both(client: httpx.Client) -> None:
    text = manual()[50]  # stands in both
    answer = ask(client, "/v1/trace", text=text, max_spans=50)
    assert answer["corpora"] == ["ours", "pile"]
    whole = max(answer["spans"], key=lambda span: len(span["text"]))
    assert whole["owners"] == ["ours", "pile"]
    assert {document["corpus"] for document in whole["documents"]} == {"ours", "pile"}
    for span in answer["spans"]:
        assert text[span["start"] : span["end"]] == span["text"]
        for document in span["documents"]:
            assert document["snippet"][document["match_start"] : document["match_end"]] == span["text"]
    ends = [span["end"] for span in answer["spans"]]
    assert ends == sorted(ends)
    assert len(set(ends)) == len(ends)
    alone = ask(client, "/v1/trace", text=manual()[70], corpora=["pile"], max_spans=50)
    (longest,) = sorted(alone["spans"], key=lambda span: -len(span["text"]))[:1]
    document = longest["documents"][0]["id"]
    page = client.get(f"/v1/corpora/pile/documents/{document}").json()
    assert longest["text"] in page["text"]
    assert page["text"] in FOREIGN


def test_an_owner_left_out_is_in_no_answer(client: httpx.Client) -> None:
    answer = ask(client, "/v1/trace", text=manual()[50], owners=["ours"], max_spans=50)
    assert "pile" not in str(answer)


def test_what_depends_on_tokens_asks_for_corpora_of_one_tokenizer(client: httpx.Client) -> None:
    for path, body in (
        ("/v1/ngram", {"text": "the"}),
        ("/v1/count", {"tokens": [5]}),
        ("/v1/find", {"clauses": [["the"]]}),
    ):
        response = client.post(path, json=body)
        assert response.status_code == 422, response.text
        assert "several tokenizers" in response.json()["detail"]
        assert client.post(path, json=body | {"corpora": ["pile"]}).status_code == 200


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"directory": "/nowhere"}, "there is no table.0 in /nowhere"),
        ({"tokenizer": "/nowhere/tokenizer.json"}, "cannot be used"),
        ({"licence": None}, "licence"),
    ],
)
def test_one_that_cannot_be_used_is_left_out_and_says_why(home: Path, change: dict[str, object], says: str) -> None:
    path = home / "tracing" / "pile" / "infini-gram.json"
    before = path.read_text()
    path.write_text(json.dumps(json.loads(before) | change))
    try:
        with serving(create_app(settings_in(home))) as client:
            warnings = client.get("/readyz").json()["warnings"]
            assert [one["id"] for one in client.get("/v1/corpora").json()["data"]] == ["ours"]
    finally:
        path.write_text(before)
    assert any("corpus pile:" in warning and says in warning for warning in warnings), warnings
