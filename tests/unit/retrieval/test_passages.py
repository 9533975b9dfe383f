from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from services.retrieval.datastore.documents import Document
from services.retrieval.datastore.passages import Passages
from services.retrieval.datastore.strings import Strings

quickly = settings(deadline=None, max_examples=60)
characters = st.characters(exclude_categories=["Cs"])
texts = st.text(characters)
# long enough that documents have several passages
long_texts = st.lists(st.sampled_from(["a", "ß", "日本", "\U0001d518", "\n", "\u2003"]), max_size=900).map(" ".join)
written = st.dictionaries(st.text(characters, min_size=1), texts.filter(str.strip) | long_texts.filter(str.strip))


def documents_of(texts: dict[str, str]) -> list[Document]:
    return [Document(key, texts[key], f"about {key}", "source", "CC0-1.0") for key in sorted(texts)]


@quickly
@given(st.sets(texts), texts)
def test_a_string_is_found_where_it_stands_among_those_in_order(strings: set[str], other: str) -> None:
    ordered = sorted(strings)
    with TemporaryDirectory() as folder:
        Strings.write(Path(folder), "strings", ordered)
        packed = Strings(Path(folder), "strings")
        assert [packed.find(string) for string in ordered] == [*range(len(ordered))]
        assert packed.find(other) == (ordered.index(other) if other in strings else None)


@quickly
@given(st.lists(texts))
def test_strings_come_back_as_they_were_written(strings: list[str]) -> None:
    with TemporaryDirectory() as folder:
        Strings.write(Path(folder), "strings", strings)
        packed = Strings(Path(folder), "strings")
        assert [packed[row] for row in range(len(packed))] == strings


@quickly
@given(st.sets(texts), texts)
def test_a_string_is_found_where_it_is_and_not_where_it_is_not(strings: set[str], other: str) -> None:
    ordered = sorted(strings)
    with TemporaryDirectory() as folder:
        Strings.write(Path(folder), "strings", ordered)
        packed = Strings(Path(folder), "strings")
        assert [packed.find(string) for string in ordered] == list(range(len(ordered)))
        assert packed.find(other) == (ordered.index(other) if other in strings else None)


@quickly
@given(written)
def test_the_text_of_a_passage_is_the_stretch_of_its_document_that_its_offsets_name(texts: dict[str, str]) -> None:
    with TemporaryDirectory() as folder:
        Passages.write(Path(folder), documents_of(texts))
        passages = Passages(Path(folder))
        found = [passages.passage(row) for row in range(len(passages))]
    assert all(passage.text == texts[passage.document][passage.start : passage.end] for passage in found)
    for key, text in texts.items():
        words = [word for passage in found if passage.document == key for word in passage.text.split()]
        assert words == text.split()
    assert len({passage.id for passage in found}) == len(found)


@quickly
@given(written, st.text(characters))
def test_a_document_comes_back_whole_and_an_unknown_one_not_at_all(texts: dict[str, str], other: str) -> None:
    with TemporaryDirectory() as folder:
        Passages.write(Path(folder), documents_of(texts))
        passages = Passages(Path(folder))
        assert [passages.document(key) for key in sorted(texts)] == documents_of(texts)
        assert (passages.document(other) is None) == (other not in texts)
