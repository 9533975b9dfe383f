"""What a book's file becomes: its prose, passages, persons and events; and what is refused."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.evaluation.books.build import build
from services.evaluation.books.characters import characters
from services.evaluation.books.errors import BadBook
from services.evaluation.books.events import events
from services.evaluation.books.file import Book, identify, known, read, write
from services.evaluation.books.passages import PREFIX_WORDS, REFERENCE_WORDS, openings, passages, spread
from services.evaluation.books.prose import paragraphs, sentences
from services.evaluation.metrics.copying import windows
from tests.unit.evaluation.story import HEADER, LICENCE, file, story

GERMAN = (
    "Der Mann ging am Morgen durch den Wald und dachte an seine Mutter, die in der Stadt wohnte und auf ihn wartete. "
)


def made(tmp_path: Path, text: str) -> Book:
    path = tmp_path / "The Lantern.txt"
    path.write_text(text, encoding="utf-8")
    return build(path, "literature")


def refused(tmp_path: Path, text: str) -> str:
    with pytest.raises(BadBook) as error:
        made(tmp_path, text)
    return str(error.value)


def test_the_frame_of_project_gutenberg_headings_and_line_breaks_are_no_part_of_a_book() -> None:
    assert paragraphs(file(story())) == story()
    assert paragraphs(file(story()).replace("\n", "\r\n")) == story()
    assert paragraphs("\n\n".join(story())) == story()


def test_a_book_has_its_passages_openings_persons_and_events(tmp_path: Path) -> None:
    book = made(tmp_path, file(story()))
    assert (book.id, book.title, book.owner) == ("the-lantern", "The Lantern", "literature")
    assert book.words == sum(len(one.split()) for one in story())
    assert [{*one.aliases} for one in book.characters] == [{"Clara"}, {"Fenwick", "Tobias Fenwick"}]
    assert len(book.events) == 19
    assert book == made(tmp_path, file(story()))


def test_passages_are_the_books_own_words_in_order_and_never_overlap() -> None:
    words = " ".join(story()).split()
    end = 0
    for one in passages(story(), most=1000):
        assert one.prefix.split() == words[one.at : one.at + PREFIX_WORDS]
        assert one.reference.split() == words[one.at + PREFIX_WORDS : one.at + PREFIX_WORDS + REFERENCE_WORDS]
        assert one.at >= end
        end = one.at + PREFIX_WORDS + REFERENCE_WORDS
        assert " ".join(words[: one.at]).endswith((".", '"')) or one.at == 0
    assert end > 0.8 * len(words)


@given(st.lists(st.integers(), max_size=40), st.integers(1, 30))
def test_what_is_spread_is_of_the_whole_in_its_order(found: list[int], most: int) -> None:
    chosen = spread([*enumerate(found)], most)
    assert len(chosen) == min(most, len(found))
    assert chosen == sorted(set(chosen))
    assert chosen[:1] == [*enumerate(found)][:1]


def test_sentences_do_not_end_at_a_title_or_an_initial() -> None:
    text = 'Mr. J. Fenwick came at ten. "Sit down!" said Dr. Hart. He sat. What of St. Clair?'
    assert sentences(text) == ["Mr. J. Fenwick came at ten.", '"Sit down!"', "said Dr. Hart.", "He sat.",
                               "What of St. Clair?"] or sentences(text) == [
        "Mr. J. Fenwick came at ten.", '"Sit down!" said Dr. Hart.', "He sat.", "What of St. Clair?",
    ]  # fmt: skip


@given(st.lists(st.sampled_from(["He", "went.", "Mr.", '"No!"', "(So)", "home?", "A", "b"]), min_size=1))
def test_sentences_are_the_paragraph(words: list[str]) -> None:
    assert " ".join(sentences(" ".join(words))) == " ".join(words)


def test_an_opening_is_a_plain_sentence_that_begins_a_paragraph() -> None:
    found = openings(story(), most=5)
    assert len(found) == 5
    assert found[0] == sentences(story()[0])[0]
    assert {*found} <= {sentences(one)[0] for one in story()}


def test_a_word_that_is_great_by_its_place_only_is_no_name() -> None:
    text = ["Then he came. Then she said no. They saw that Clara said no. They asked Clara to stay. Then Clara left."]
    assert [one.aliases for one in characters(text, 9)] == [["Clara"]]


def test_a_place_that_never_acts_is_no_person() -> None:
    text = ["He saw London and Clara said so. In the London fog, said Clara, one sees London less. Yet Clara stayed."]
    assert [one.aliases for one in characters(text, 9)] == [["Clara"]]


def test_a_name_that_two_persons_have_is_no_alias_of_either() -> None:
    text = ["So said Ann Hart this and said Tom Hart that. So Ann said to Hart that Tom said no."] * 4
    assert [{*one.aliases} for one in characters(text, 9)] == [{"Ann Hart", "Ann"}, {"Tom Hart", "Tom"}]


def test_events_are_sentences_that_name_a_person_in_the_order_of_the_book() -> None:
    persons = characters(story(), 9)
    found = events(story(), persons)
    text, place = " ".join(story()), 0
    for one in found:
        place = text.index(one.text, place)
        assert one.text in one.context
        assert one.context in text
        assert len(windows(one.context)) == 1
    assert all("Fenwick" in one.text or "Clara" in one.text for one in found)
    assert not any('"' in one.text for one in found)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "The book is empty"),
        (" \n\n\t", "The book is empty"),
        (HEADER + LICENCE, "0 words of prose"),
        ("\n\n".join(story(5)), "too short"),
        ((GERMAN * 5 + "\n\n") * 60, "not in English"),
        (HEADER + "\n\n".join(story()), "the beginning of Project Gutenberg's frame and not its end"),
        ("\n\n".join(story()) + LICENCE, "the end of Project Gutenberg's frame and not its beginning"),
        ("\n\n".join(story()) + "\0", "a byte 0"),
    ],
)  # fmt: skip
def test_what_is_no_whole_english_book_is_refused(tmp_path: Path, text: str, said: str) -> None:
    assert said in refused(tmp_path, text)


def test_bytes_that_are_no_text_and_a_file_that_is_not_there_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "book.txt"
    with pytest.raises(BadBook, match="cannot be read"):
        build(path, "literature")
    path.write_bytes("é".encode("latin-1"))
    with pytest.raises(BadBook, match="no UTF-8"):
        build(path, "literature")


def test_a_book_is_read_as_it_was_written_and_a_spoilt_one_refused(tmp_path: Path) -> None:
    book = made(tmp_path, file(story()))
    path = write(book, tmp_path)
    assert known(tmp_path) == ["the-lantern"]
    assert read(tmp_path, "the-lantern") == book
    path.write_text(path.read_text().replace('"owner"', '"owned"'))
    with pytest.raises(BadBook, match=r"is no book: owner: Field required\. Mend it, or build it") as refused:
        read(tmp_path, "the-lantern")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("place", "nonsense", "said"),
    [
        ("id", "another", "has the id 'another' of another file"),
        ("passages", [{"at": 0, "prefix": " ", "reference": "and on"}], r"passages\.0\.prefix"),
        ("characters", [{"aliases": ["?"]}], r"characters\.0\.aliases\.0"),
    ],
)
def test_a_book_that_was_edited_into_nonsense_is_refused(
    tmp_path: Path, place: str, nonsense: object, said: str
) -> None:
    path = write(made(tmp_path, file(story())), tmp_path)
    path.write_text(json.dumps({**json.loads(path.read_text()), place: nonsense}))
    with pytest.raises(BadBook, match=said):
        read(tmp_path, "the-lantern")


def test_a_name_without_a_letter_is_no_id() -> None:
    assert identify("Alice's Adventures (1865)") == "alice-s-adventures-1865"
    with pytest.raises(BadBook, match="--id"):
        identify("…")
