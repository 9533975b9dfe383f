"""Reading folders in BEIR's format, whole and broken."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from services.evaluation.beir import BadBeir, CorpusDocument, documents, read

CORPUS = [
    {"_id": "a", "title": "Whales", "text": "They sing."},
    {"_id": "b", "title": "", "text": "Ants walk."},
    {"_id": "c", "text": "Owls see."},
]
QUERIES = [{"_id": "1", "text": "who sings"}, {"_id": "2", "text": "who walks"}, {"_id": "3", "text": "not judged"}]
QRELS = "query-id\tcorpus-id\tscore\n1\ta\t2\n1\tb\t0\n2\tb\t1\n"


def folder(at: Path, corpus: list[dict[str, str]] = CORPUS, qrels: str = QRELS) -> Path:
    (at / "qrels").mkdir()
    for name, rows in (("corpus", corpus), ("queries", QUERIES)):
        (at / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (at / "qrels" / "test.tsv").write_text(qrels, encoding="utf-8")
    return at


def test_queries_with_a_relevant_document_are_asked_and_title_and_text_are_one(tmp_path: Path) -> None:
    found = read(folder(tmp_path))
    assert found.queries == {"1": "who sings", "2": "who walks"}
    assert found.judgements == {"1": {"a": 2, "b": 0}, "2": {"b": 1}}
    assert (found.documents, found.warnings) == (3, [])
    assert list(documents(tmp_path)) == [
        CorpusDocument("a", "Whales", "Whales They sing."),
        CorpusDocument("b", "", "Ants walk."),
        CorpusDocument("c", "", "Owls see."),
    ]


def test_parquet_reads_as_jsonl_does(tmp_path: Path) -> None:
    before = read(folder(tmp_path))
    lines = list(documents(tmp_path))
    for name, rows in (("corpus", CORPUS), ("queries", QUERIES)):
        (tmp_path / f"{name}.jsonl").unlink()
        parquet.write_table(pa.Table.from_pylist(rows), tmp_path / f"{name}.parquet")
    after = read(tmp_path)
    assert (after.queries, after.judgements, list(documents(tmp_path))) == (before.queries, before.judgements, lines)


def test_what_is_no_folder_is_said_to_be_none(tmp_path: Path) -> None:
    packed = tmp_path / "scifact.zip"
    packed.write_bytes(b"PK")
    for path, says in ((packed, "is no folder: unpack it first"), (tmp_path / "gone", "is no folder. One in BEIR")):
        with pytest.raises(BadBeir, match=says):
            read(path)


@pytest.mark.parametrize("missing", ["corpus.jsonl", "queries.jsonl", "qrels/test.tsv"])
def test_a_missing_file_is_named(tmp_path: Path, missing: str) -> None:
    (folder(tmp_path) / missing).unlink()
    with pytest.raises(BadBeir, match=f"There is no .*{missing}"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("line", "fault"),
    [('{"_id": "d", "te', "no JSON"), ("[]", "not a JSON object"), ('{"_id": 4, "text": "x"}', "'_id' is no text"),
     ('{"_id": "d"}', "'text' is missing")],
)  # fmt: skip
def test_a_broken_line_is_named_by_its_number(tmp_path: Path, line: str, fault: str) -> None:
    with (folder(tmp_path) / "corpus.jsonl").open("a") as corpus:
        corpus.write(f"\n{line}\n")
    with pytest.raises(BadBeir, match=f"corpus.jsonl, line 5: {fault}"):
        read(tmp_path)


@pytest.mark.parametrize("name", ["corpus.jsonl", "queries.jsonl", "qrels/test.tsv"])
def test_a_file_that_is_no_utf_8_is_refused_by_name(tmp_path: Path, name: str) -> None:
    path = folder(tmp_path) / name
    path.write_bytes(path.read_bytes() + "caf\xe9\n".encode("latin-1"))
    with pytest.raises(BadBeir, match=f"{name} is no UTF-8"):
        read(tmp_path)


def test_a_document_that_stands_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadBeir, match="'a' stands there twice"):
        read(folder(tmp_path, [*CORPUS, CORPUS[0]]))


@pytest.mark.parametrize("line", ["1\ta", "1\ta\tgood", "1 a 1"])
def test_a_judgement_that_is_none_is_named_by_its_line(tmp_path: Path, line: str) -> None:
    with pytest.raises(BadBeir, match=r"test.tsv, line 5"):
        read(folder(tmp_path, qrels=f"{QRELS}{line}\n"))


def test_what_judgements_name_and_is_not_there_is_counted(tmp_path: Path) -> None:
    found = read(folder(tmp_path, [*CORPUS, {"_id": "e", "text": ""}], f"{QRELS}2\tgone\t1\n9\ta\t1\n3\ta\t0\n"))
    assert list(found.queries) == ["1", "2"]
    assert [warning.split(":")[0] for warning in found.warnings] == [
        "1 judged documents are not in the corpus",
        "1 judged queries are not in the file of queries",
        "1 judged queries are empty or have no relevant document",
        "1 documents are empty and cannot be found",
    ]
    # a document that nobody can find still lowers what is reached of the ideal
    assert found.judgements["2"] == {"b": 1, "gone": 1}


def test_without_any_query_to_score_the_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadBeir, match="nothing could be scored"):
        read(folder(tmp_path, qrels="1\ta\t0\n"))


def test_a_query_can_leave_documents_out_of_its_ranking(tmp_path: Path) -> None:
    at = folder(tmp_path)
    rows = [QUERIES[0] | {"excluded_ids": ["b", "c"]}, QUERIES[1] | {"excluded_ids": ["N/A"]}]
    (at / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = read(at)
    assert found.excluded == {"1": ["b", "c"]}
    assert found.judgements == {"1": {"a": 2}, "2": {"b": 1}}


def bright(at: Path, examples: list[dict[str, object]]) -> Path:
    documents = [{"id": "sea/a", "content": "Whales sing. "}, {"id": "b", "content": "Ants walk."}]
    for name, rows in (("documents", documents), ("examples", examples)):
        (at / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return at


def test_a_folder_of_brights_is_read(tmp_path: Path) -> None:
    asked = {"query": "A long question. " * 50, "reasoning": "...", "gold_ids": ["sea/a"], "gold_answer": "x"}
    found = read(bright(tmp_path, [{"id": 7, "excluded_ids": ["b"], **asked}, {"id": "8", **asked}]))
    assert list(found.queries) == ["7", "8"]
    assert (found.judgements["8"], found.excluded) == ({"sea/a": 1}, {"7": ["b"]})
    assert list(documents(tmp_path)) == [
        CorpusDocument("sea/a", "", "Whales sing."),
        CorpusDocument("b", "", "Ants walk."),
    ]


def test_a_gold_document_that_is_excluded_is_none(tmp_path: Path) -> None:
    with pytest.raises(BadBeir, match="no query with a relevant document"):
        read(bright(tmp_path, [{"id": "7", "query": "x", "gold_ids": ["b"], "excluded_ids": ["b"]}]))


@pytest.mark.parametrize(
    ("example", "says"),
    [
        ({"id": "7", "gold_ids": ["b"]}, "examples.jsonl, line 1: not an example of BRIGHT's"),
        ({"id": "7", "query": "x", "gold_ids": ["b"], "excluded_ids": "b"}, "line 1: `excluded_ids` is no list"),
    ],
)
def test_an_example_that_is_none_is_named_by_its_line(tmp_path: Path, example: dict[str, object], says: str) -> None:
    with pytest.raises(BadBeir, match=says):
        read(bright(tmp_path, [example]))
