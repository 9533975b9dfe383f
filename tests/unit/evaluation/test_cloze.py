"""Cloze questions: what is read as the name that an answer gives, and which questions a book has."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.evaluation.books.build import build
from services.evaluation.books.characters import characters
from services.evaluation.books.file import Character, Question
from services.evaluation.books.prose import paragraphs, sentences
from services.evaluation.books.questions import CONTEXT_SENTENCES, CONTEXT_WORDS, LEAST_BEFORE, questions
from services.evaluation.metrics.answers import exact_match, token_f1
from services.evaluation.metrics.cloze import MOST_WORDS, named
from tests.unit.evaluation.story import file, story


@pytest.mark.parametrize(
    ("said", "name"),
    [
        (" Alice, who laughed", "Alice"),
        ("Alice's cat", "Alice"),
        ("Alice\u2019s Adventures", "Alice"),
        (" the White Rabbit said", "White Rabbit"),
        ("The Hatter", "Hatter"),
        (' "Mr. Sherlock Holmes," said he', "Sherlock Holmes"),
        ("Dr Watson. Holmes", "Watson"),
        ("St. Clair was here", "St. Clair"),
        ("Neville St. Clair", "Neville St. Clair"),
        ("Miss Mary-Ann O'Brien and", "Mary-Ann O'Brien"),
        ("**Clara**", "Clara"),
        ("\n\nClara\nTobias", "Clara Tobias"),
        ("Ann Bell Carr Dove Eve", "Ann Bell Carr Dove"),
        ("Élodie came", "Élodie"),
        ("Clara--and Ann", "Clara"),
        ("Mrs", ""),
        ("Mister", "Mister"),
        ("Theodore", "Theodore"),
        ("he said that Clara", ""),
        (". Then Clara", ""),
        ("12 Clara", ""),
        ("", ""),
        ("   ", ""),
    ],
)  # fmt: skip
def test_a_name_is_the_leading_run_of_capitalised_words(said: str, name: str) -> None:
    assert named(said) == name


@given(st.text(alphabet="AaBb .,'-\u2019\"1\n_St", max_size=30))
def test_what_is_read_are_words_of_the_answer_that_begin_with_a_capital(said: str) -> None:
    words = named(said).split()
    assert len(words) <= MOST_WORDS
    assert all(word[0].isupper() and word in said for word in words)


def reference(prose: list[str], persons: list[Character]) -> list[Question]:
    """The questions by their definition, sentence by sentence and word by word, without regular expressions."""
    found = [(sentence, place == 0) for one in prose for place, sentence in enumerate(sentences(one))]
    made: list[Question] = []
    free = 0
    for at in range(CONTEXT_SENTENCES, len(found)):
        first = at - CONTEXT_SENTENCES
        while sum(len(sentence.split()) for sentence, _ in found[first:at]) > CONTEXT_WORDS:
            first += 1
        if first < free or first == at:
            continue
        context = joined(found[first:at])
        there = mentions(context, persons)
        here = mentions(found[at][0], persons)
        for start, name, person in here:
            rest = found[at][0][start + len(name) :]
            if (
                name in [other for _, other, _ in there]
                and {who for *_, who in there} != {person}
                and [who for *_, who in here].count(person) == 1
                and len(found[at][0][:start].split()) >= LEAST_BEFORE
                and named(name + rest) in persons[person].aliases
            ):
                whole = joined([*found[first:at], (found[at][0][:start] + "@", found[at][1])])
                answers = [name, *(alias for alias in persons[person].aliases if alias != name)]
                counts = [[who for *_, who in there].count(who) for *_, who in there]
                most = there[counts.index(max(counts))][2]
                made.append(
                    Question(
                        at=at,
                        text=whole.removesuffix("@").rstrip(),
                        rest=rest,
                        answers=answers,
                        commonest=persons[most].aliases[0],
                    )
                )
                free = at + 1
                break
    return made


def joined(found: list[tuple[str, bool]]) -> str:
    text = ""
    for sentence, begins in found:
        text += ("\n\n" if begins else " ") + sentence
    return text.strip()


def mentions(text: str, persons: list[Character]) -> list[tuple[int, str, int]]:
    """Where a name begins that is no part of a longer word: the longest there, and whose."""
    found, at = [], 0
    while at < len(text):
        here = [
            (alias, place)
            for place, person in enumerate(persons)
            for alias in person.aliases
            if text.startswith(alias, at)
            and not (at > 0 and text[at - 1].isalnum())
            and not text[at + len(alias) : at + len(alias) + 1].isalnum()
        ]
        if here:
            name, who = max(here, key=lambda one: len(one[0]))
            found.append((at, name, who))
            at += len(name)
        else:
            at += 1
    return found


WORDS = ["Ann", "Ann Bell", "Bell's", "Carr", "the", "went", "said", "Mr.", "Annabel", "to", "and", '"No,"', "St. Ives"]


@given(st.lists(st.lists(st.sampled_from(WORDS), min_size=3, max_size=12), min_size=20, max_size=90))
def test_questions_are_those_of_the_definition(drawn: list[list[str]]) -> None:
    prose = [f"So {' '.join(words)} on." for words in drawn]
    prose = [" ".join(prose[at : at + 3]) for at in range(0, len(prose), 3)]
    persons = [
        Character(aliases=["Ann", "Ann Bell", "Bell"]),
        Character(aliases=["Carr"]),
        Character(aliases=["St. Ives"]),
    ]
    assert questions(prose, persons, most=1000) == reference(prose, persons)


def test_of_long_sentences_the_context_has_600_words_at_most() -> None:
    long = "So Clara and Tobias went " + "on and " * 50 + "on."
    prose = [f"{long} Then it was seen by Clara." for _ in range(30)]
    persons = [Character(aliases=["Clara"]), Character(aliases=["Tobias"])]
    found = questions(prose, persons, most=1000)
    assert found == reference(prose, persons)
    assert found
    assert all(CONTEXT_WORDS - 105 < len(one.text.split()) <= CONTEXT_WORDS + 5 for one in found)
    # a single sentence of more is no context
    assert questions([("So Clara and Tobias went " + "on and " * 400 + "on.")] * 40, persons, most=9) == []


def test_a_book_of_less_than_two_persons_has_no_question() -> None:
    prose = story()
    assert questions(prose, [], most=9) == []
    assert questions(prose, [Character(aliases=["Clara"])], most=9) == []
    nobody = [re.sub(r"Clara|(Mr\. )?(Tobias )?Fenwick", "somebody", one) for one in prose]
    assert questions(nobody, characters(nobody, 9), most=9) == []


def test_the_books_own_words_are_always_the_right_answer(tmp_path: Path) -> None:
    (tmp_path / "lantern.txt").write_text(file(story(200)))
    book = build(tmp_path / "lantern.txt", "papers")
    text = " ".join(paragraphs(file(story(200))))
    assert len(book.questions) >= 20
    for one in book.questions:
        said = one.answers[0] + one.rest
        assert exact_match(named(said), one.answers) == token_f1(named(said), one.answers) == 1.0
        assert one.answers[0] in one.text
        assert " ".join(one.text.split()) in text
        assert "Clara" in one.text
        assert "Fenwick" in one.text
    assert [one.at for one in book.questions] == sorted({one.at for one in book.questions})
