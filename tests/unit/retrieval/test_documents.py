import json
from pathlib import Path

import pytest

from services.retrieval.datastore.documents import read

GOOD = b'{"id": "s:1", "text": "one two", "title": "One", "owner": "papers", "licence": "CC-BY-4.0", "url": "u:1"}'


def test_every_field_of_a_line_is_read(tmp_path: Path) -> None:
    (tmp_path / "s.jsonl").write_bytes(GOOD + b"\n")
    (document,), broken = read(tmp_path / "s.jsonl", "papers", "CC0-1.0")
    assert broken == []
    assert vars(document) == {
        "id": "s:1",
        "text": "one two",
        "title": "One",
        "source": "s",
        "licence": "CC-BY-4.0",
        "url": "u:1",
    }


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b'{"id": "s:2", "text": ', "Expecting value"),
        (b"[1, 2]", "not a JSON object"),
        (b'{"text": "no id"}', "`id` must be a string"),
        (b'{"id": "s:2", "text": 7}', "`text` must be a string"),
        (b'{"id": "s:2", "text": " \\n "}', "must not be empty"),
        (b'{"id": "s:1", "text": "again"}', "on an earlier line"),
        (b'{"id": "s:2", "text": "x", "owner": "news"}', "the owner is 'news'"),
        (b'{"id": "s:2", "text": "\\ud800"}', "surrogates not allowed"),
        (b'{"id": "s:2", "text": "\xff"}', "can't decode byte 0xff"),
        (b"[" * 100_000, "recursion"),
    ],
)
def test_a_broken_line_is_named_with_its_number_and_the_rest_loads(tmp_path: Path, line: bytes, fault: str) -> None:
    last = json.dumps({"id": "s:0", "text": "last"}).encode()
    (tmp_path / "s.jsonl").write_bytes(GOOD + b"\n\n" + line + b"\n" + last)
    documents, (broken,) = read(tmp_path / "s.jsonl", "papers", "CC0-1.0")
    assert [document.id for document in documents] == ["s:0", "s:1"]
    assert str(broken).startswith("papers/s.jsonl, line 3: ")
    assert fault in str(broken)


def test_a_document_without_a_licence_has_its_owners(tmp_path: Path) -> None:
    (tmp_path / "s.jsonl").write_text('{"id": "s:1", "text": "x"}')
    ((document,), _) = read(tmp_path / "s.jsonl", "papers", "CC0-1.0")
    assert document.licence == "CC0-1.0"


def test_separators_of_lines_that_json_keeps_inside_a_text_do_not_cut_it(tmp_path: Path) -> None:
    (tmp_path / "s.jsonl").write_text('{"id": "s:1", "text": "a\u2028b\x85c"}\n', encoding="utf-8")
    ((document,), broken) = read(tmp_path / "s.jsonl", "papers", "CC0-1.0")
    assert document.text == "a\u2028b\x85c"
    assert not broken


def test_a_plain_text_is_one_document(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear reader,\nall is well.\n")
    ((document,), broken) = read(tmp_path / "letter.txt", "news", "CC0-1.0")
    assert (document.id, document.title, document.text) == (
        "letter:letter",
        "letter",
        "Dear reader,\nall is well.\n",
    )
    assert not broken


def test_a_plain_text_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_bytes(b"caf\xe9")
    documents, (broken,) = read(tmp_path / "letter.txt", "news", "CC0-1.0")
    assert not documents
    assert str(broken).startswith("news/letter.txt, line 1: ")
