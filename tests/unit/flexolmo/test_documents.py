"""An owner's files: what is read of them, and what is said of those that cannot be."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.model.flexolmo.corpus import data_hash, read_documents
from services.model.flexolmo.documents import BadText, Document


def jsonl(folder: Path, *lines: str, name: str = "notes.jsonl") -> Path:
    file = folder / name
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


def test_a_line_needs_text_alone_and_heldout_lines_are_not_trained_on(tmp_path: Path) -> None:
    file = jsonl(
        tmp_path,
        '{"text": "one"}',
        "",
        '{"text": "two", "id": "a", "licence": "CC0-1.0", "split": "train"}',
        '{"text": "three", "split": "heldout"}',
    )
    assert read_documents([file], "train") == [Document("a", "two", "CC0-1.0"), Document("notes.jsonl:1", "one", "")]
    assert [document.text for document in read_documents([file], "heldout")] == ["three"]


def test_a_txt_file_is_one_document(tmp_path: Path) -> None:
    file = tmp_path / "letter.txt"
    file.write_text("Dear\n\nHarbour", encoding="utf-8")
    assert read_documents([file], "train") == [Document("letter.txt", "Dear\n\nHarbour", "")]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"text": "cut', "not JSON"),
        ('["text"]', "not a JSON object"),
        ('{"id": "a"}', "no text"),
        ('{"text": 3}', "no text"),
        ('{"text": "a", "id": 3}', "id is no string"),
        ('{"text": "a", "split": "test"}', "neither train nor heldout"),
        ('{"text": "\\ud800"}', "half a surrogate pair"),
    ],
)
def test_a_broken_line_is_named_by_file_and_number(line: str, said: str, tmp_path: Path) -> None:
    file = jsonl(tmp_path, '{"text": "good"}', "", line)
    with pytest.raises(BadText, match=rf"notes\.jsonl, line 3: .*{said}"):
        read_documents([file], "train")


@pytest.mark.parametrize(("name", "content"), [("a.csv", b"x"), ("a.txt", b"\xff\xfe\xfa"), ("a.jsonl", b"\xff\n")])
def test_a_file_that_is_not_what_its_name_says_is_named(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadText, match=name):
        read_documents([tmp_path / name], "train")


def test_a_folder_is_refused_with_what_to_write_instead(tmp_path: Path) -> None:
    with pytest.raises(BadText, match=r"is a folder.*none that ends in \.jsonl or \.txt"):
        read_documents([tmp_path], "train")
    jsonl(tmp_path, '{"text": "one"}')
    with pytest.raises(BadText) as refused:
        read_documents([tmp_path], "train")
    assert str(refused.value) == f"{tmp_path} is a folder: name its files instead, {tmp_path}/*.jsonl."
    (tmp_path / "letter.txt").write_text("Dear", encoding="utf-8")
    with pytest.raises(BadText, match=r"/\*\.jsonl .*/\*\.txt\."):
        read_documents([tmp_path], "train")


def test_a_missing_file_and_no_documents_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no file .*gone\.jsonl"):
        read_documents([tmp_path / "gone.jsonl"], "train")
    empty = jsonl(tmp_path, '{"text": "a", "split": "heldout"}')
    with pytest.raises(FileNotFoundError, match=r"No train documents in .*notes\.jsonl"):
        read_documents([empty], "train")


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(st.sampled_from("abc"), st.text(st.characters(codec="utf-8"))), min_size=2), cut=st.data()
)
def test_neither_the_order_of_files_nor_of_lines_changes_the_documents(
    rows: list[tuple[str, str]], cut: st.DataObject, tmp_path: Path
) -> None:
    lines = [json.dumps({"id": name, "text": text}) for name, text in rows]
    place = cut.draw(st.integers(1, len(lines) - 1))
    files = [jsonl(tmp_path, *lines[:place], name="a.jsonl"), jsonl(tmp_path, *lines[place:], name="b.jsonl")]
    whole = read_documents([jsonl(tmp_path, *cut.draw(st.permutations(lines)), name="c.jsonl")], "train")
    assert read_documents(files, "train") == read_documents(files[::-1], "train") == whole
    assert data_hash(whole) == data_hash(whole[::-1])
