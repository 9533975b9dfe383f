"""Every kind of file, made here and read whole and in parts; what is broken is named, and the rest loads."""

import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.retrieval.datastore.documents import Broken, Document
from services.retrieval.datastore.ingest.decontaminate import Queries
from services.retrieval.datastore.ingest.prepare import Task, prepare
from services.retrieval.datastore.ingest.shards import shards
from services.retrieval.datastore.ingest.sources import sources
from shared.owners import Owner, Source
from tests.retrieval_support import owner, write_pdf

GOOD = (
    b'{"id": "s:1", "text": "one two", "title": "One", "owner": "papers", "licence": "CC-BY-4.0", "url": "https://u/1"}'
)
RAW = Owner(
    id="papers",
    name="papers",
    licence="CC0-1.0",
    contact="c@example.org",
    sources=[Source(name="page", origin="the web", licence="MIT", clean=False)],
)


def read(
    home: Path, name: str, content: bytes | None = None, size: int = 1 << 20
) -> tuple[list[Document], list[Broken]]:
    """What is in one file of the owner "papers", read in parts of `size` bytes."""
    path = home / "texts" / "papers" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if content is not None:
        path.write_bytes(content)
    ((source,), ()) = sources(home, RAW)
    prepared = [prepare(Task(shard, Queries(), compare=False)) for shard in shards(source, size)]
    return [entry.document for part in prepared for entry in part.entries], [
        b for part in prepared for b in part.broken
    ]


def test_every_field_of_a_line_is_read(tmp_path: Path) -> None:
    (document,), broken = read(tmp_path, "s.jsonl", GOOD + b"\n")
    assert broken == []
    assert document == Document("s:1", "one two", "One", "s", "CC-BY-4.0", "https://u/1")


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b'{"id": "s:2", "text": ', "Expecting value"),
        (b"[1, 2]", "not a JSON object"),
        (b'{"text": "no id"}', "`id` must be a string"),
        (b'{"id": "s:2", "text": 7}', "`text` must be a string"),
        (b'{"id": "s:2", "text": " \\n "}', "must not be empty"),
        (b'{"id": "s:2", "text": "x", "owner": "news"}', "the owner is 'news'"),
        (b'{"id": "s:2", "text": "\\ud800"}', "surrogates not allowed"),
        (b'{"id": "s:2", "text": "\xff"}', "can't decode byte 0xff"),
        (b"[" * 100_000, "recursion"),
    ],
)
@pytest.mark.parametrize("size", [1, 1 << 20])
def test_a_broken_line_is_named_with_its_number_and_the_rest_loads(
    tmp_path: Path, line: bytes, fault: str, size: int
) -> None:
    last = json.dumps({"id": "s:0", "text": "last"}).encode()
    documents, (broken,) = read(tmp_path, "s.jsonl", GOOD + b"\n\n" + line + b"\n" + last, size)
    assert [document.id for document in documents] == ["s:1", "s:0"]
    assert str(broken).startswith("papers/s.jsonl, line 3: ")
    assert fault in str(broken)


@given(
    st.lists(st.sampled_from(["", "{", '"é\u2028"', '{"id": "1", "text": "ü"}', '{"id": "2", "text": "\\n"}'])),
    st.data(),
)
def test_parts_of_any_size_hold_what_the_whole_file_holds(
    tmp_path_factory: pytest.TempPathFactory, lines: Sequence[str], data: st.DataObject
) -> None:
    home = tmp_path_factory.mktemp("home")
    content = "\n".join([*lines, "{}"]).encode()
    size = data.draw(st.integers(1, len(content)))
    assert read(home, "s.jsonl", content, size) == read(home, "s.jsonl", content, len(content))


def test_a_document_without_a_licence_has_its_sources_or_else_its_owners(tmp_path: Path) -> None:
    ((document,), _) = read(tmp_path, "s.jsonl", b'{"id": "s:1", "text": "x"}')
    assert document.licence == "CC0-1.0"
    (tmp_path / "texts" / "papers" / "s.jsonl").unlink()
    ((document,), _) = read(tmp_path, "page.jsonl", b'{"id": "s:1", "text": "x"}')
    assert document.licence == "MIT"


def test_separators_of_lines_that_json_keeps_inside_a_text_do_not_cut_it(tmp_path: Path) -> None:
    (document,), broken = read(tmp_path, "s.jsonl", '{"id": "s:1", "text": "a\u2028b\x85c"}\n'.encode())
    assert document.text == "a\u2028b\x85c"
    assert not broken


def write_parquet(home: Path, rows: Sequence[dict[str, object]], group: int = 2) -> Path:
    path = home / "texts" / "papers" / "p.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows)), path, row_group_size=group, compression="none")
    return path


@pytest.mark.parametrize("size", [1, 1 << 20])
def test_a_row_of_parquet_is_a_document_and_a_broken_row_is_named(tmp_path: Path, size: int) -> None:
    rows: list[dict[str, object]] = [{"id": str(n), "text": f"text {n}", "score": 0.5} for n in range(1, 6)]
    rows[2]["text"] = None
    write_parquet(tmp_path, rows)
    documents, (broken,) = read(tmp_path, "p.parquet", size=size)
    assert [(document.id, document.text) for document in documents] == [(n, f"text {n}") for n in "1245"]
    assert str(broken) == "papers/p.parquet, row 3: `text` must be a string"


@pytest.mark.parametrize("size", [1, 1 << 20])
def test_parquet_without_ids_has_the_numbers_of_its_rows(tmp_path: Path, size: int) -> None:
    write_parquet(tmp_path, [{"text": text} for text in "abc"])
    documents, _ = read(tmp_path, "p.parquet", size=size)
    assert [document.id for document in documents] == [f"p:p.parquet:{row}" for row in (1, 2, 3)]


def test_a_damaged_part_of_parquet_is_named_and_the_rest_loads(tmp_path: Path) -> None:
    path = write_parquet(tmp_path, [{"id": text, "text": text * 9} for text in "abcd"])
    content = bytearray(path.read_bytes())
    start = pq.ParquetFile(path).metadata.row_group(0).column(1).dictionary_page_offset
    content[start : start + 16] = b"\xff" * 16
    documents, (broken,) = read(tmp_path, "p.parquet", bytes(content))
    assert [document.id for document in documents] == ["c", "d"]
    assert str(broken).startswith("papers/p.parquet, row group 1: ")


def test_a_file_that_is_no_parquet_is_named(tmp_path: Path) -> None:
    documents, (broken,) = read(tmp_path, "p.parquet", b"PAR?")
    assert not documents
    assert str(broken).startswith("papers/p.parquet: ")


def test_a_plain_text_is_one_document(tmp_path: Path) -> None:
    (document,), broken = read(tmp_path, "letter.txt", b"Dear reader,\nall is well.\n")
    assert (document.id, document.title, document.text) == (
        "letter:letter.txt",
        "letter",
        "Dear reader,\nall is well.\n",
    )
    assert not broken


def test_the_first_heading_of_markdown_is_its_title(tmp_path: Path) -> None:
    ((document,), _) = read(tmp_path, "notes.md", b"\xef\xbb\xbf# Of tides\n\nThey turn.\n")
    assert (document.title, document.text) == ("Of tides", "# Of tides\n\nThey turn.\n")


@pytest.mark.parametrize(("content", "fault"), [(b"caf\xe9", "can't decode byte 0xe9"), (b" \n", "no text")])
def test_a_plain_text_that_cannot_be_used_is_named(tmp_path: Path, content: bytes, fault: str) -> None:
    documents, (broken,) = read(tmp_path, "letter.txt", content)
    assert not documents
    assert str(broken).startswith("papers/letter.txt: ")
    assert fault in str(broken)


PAGE = """<!doctype html><html lang="de"><head><meta charset="{charset}"><title> Der Hafen &amp; die Schiffe
</title><link rel="canonical" href="https://example.org/hafen"><style>p {{ color: red }}</style></head><body>
<nav><ul><li><a href="/">Startseite</a></li><li><a href="/kontakt">Kontakt</a></li></ul></nav>
<main><h1>Der Hafen</h1><p>Der Hafen ist größer als der alte. Er hat acht Kräne.</p>
<p>Schiffe <b>jeder</b> Größe laufen ein.</p><script>alert("nein")</script></main>
<footer><a href="/impressum">Impressum</a></footer></body></html>"""


@pytest.mark.parametrize("charset", ["utf-8", "iso-8859-1"])
def test_of_a_page_its_main_text_is_read_with_its_title_and_address(tmp_path: Path, charset: str) -> None:
    (document,), broken = read(tmp_path, "page.html", PAGE.format(charset=charset).encode(charset))
    assert not broken
    assert (document.title, document.url) == ("Der Hafen & die Schiffe", "https://example.org/hafen")
    assert "Der Hafen ist größer als der alte. Er hat acht Kräne." in document.text
    assert "Schiffe jeder Größe laufen ein." in document.text
    for beside in ("Kontakt", "Impressum", "alert", "color"):
        assert beside not in document.text


@pytest.mark.parametrize("content", [b"", b"<html><body><script>x()</script></body></html>", b"\x00\x01\x02"])
def test_a_page_without_text_is_named(tmp_path: Path, content: bytes) -> None:
    documents, (broken,) = read(tmp_path, "page.html", content)
    assert not documents
    assert str(broken) == "papers/page.html: there is no text in it"


def test_of_a_pdf_all_pages_are_read_and_divided_words_joined(tmp_path: Path) -> None:
    content = write_pdf(
        [["The harbour is open to ves-", "sels of every size."], [], ["The third page."]], "Harbour rules"
    )
    (document,), broken = read(tmp_path, "rules.pdf", content)
    assert not broken
    assert (document.title, document.text) == (
        "Harbour rules",
        "The harbour is open to vessels of every size.\n\nThe third page.",
    )


def test_a_broken_page_of_a_pdf_is_named_and_the_other_pages_load(tmp_path: Path) -> None:
    content = write_pdf([["One."], ["Two."], ["Three."]], "Rules")
    first, second, third, end = content.split(b"/Type /Page /")
    broken_page = b"/Type /Page /".join([first, second]) + b"/Type /Pxge /" + b"/Type /Page /".join([third, end])
    (document,), (broken,) = read(tmp_path, "rules.pdf", broken_page)
    assert document.text == "One.\n\nThree."
    assert str(broken).startswith("papers/rules.pdf, page 2: ")


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "Data format error"),
        (b"%PDF-1.7 and nothing more", "Data format error"),
        (write_pdf([[], []], "Scan"), "text recognition"),
    ],
)
def test_a_pdf_without_text_is_named(tmp_path: Path, content: bytes, fault: str) -> None:
    documents, (broken,) = read(tmp_path, "rules.pdf", content)
    assert not documents
    assert str(broken).startswith("papers/rules.pdf: ")
    assert fault in str(broken)


def test_a_folder_is_one_source_and_its_files_are_told_apart_by_their_paths(tmp_path: Path) -> None:
    for name in ("a.txt", "a.md", "deep/er/a.txt", ".hidden.txt", ".git/a.txt"):
        path = tmp_path / "texts" / "papers" / "manuals" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    documents, broken = read(tmp_path, "manuals/B.TXT", b"b")
    assert [document.id for document in documents] == [
        f"manuals:{key}" for key in ("B.TXT", "a.md", "a.txt", "deep/er/a.txt")
    ]
    assert {document.source for document in documents} == {"manuals"}
    assert not broken


def test_a_file_of_another_kind_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "texts" / "papers"
    folder.mkdir(parents=True)
    (folder / "minutes.docx").write_bytes(b"PK")
    found, (broken,) = sources(tmp_path, owner("papers"))
    assert not found
    assert str(broken).startswith("papers/minutes.docx: not of a kind that can be read (.jsonl, ")


def test_many_small_files_share_a_shard_and_a_large_one_has_several(tmp_path: Path) -> None:
    folder = tmp_path / "texts" / "papers" / "mixed"
    folder.mkdir(parents=True)
    for number in range(6):
        (folder / f"{number}.txt").write_text("four")
    (folder / "large.jsonl").write_text('{"id": "1", "text": "x"}\n' * 6)
    ((source,), _) = sources(tmp_path, owner("papers"))
    parts = [[file.key for file, _ in shard.parts] for shard in shards(source, size=12)]
    assert parts[:2] == [["0.txt", "1.txt", "2.txt"], ["3.txt", "4.txt", "5.txt"]]
    assert parts[2:] == [["large.jsonl"]] * 6
