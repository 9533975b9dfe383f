"""The lines of texts and questions."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from gateway.data.records import distinct, key_of, opening, split_of


@given(st.text())
def test_a_document_is_held_out_iff_the_hash_of_its_id_ends_its_tenth(identity: str) -> None:
    held_out = int(hashlib.sha256(identity.encode()).hexdigest()[:8], 16) % 10 == 0
    assert split_of(identity) == ("heldout" if held_out else "train")


def test_about_one_document_in_ten_is_held_out() -> None:
    held_out = sum(split_of(f"birds:{number}") == "heldout" for number in range(5000))
    assert 400 < held_out < 600


def test_passages_that_differ_in_white_space_alone_have_one_key() -> None:
    assert key_of("A heron\n waits.") == key_of("A heron waits. ")
    assert key_of("A heron waits.") != key_of("A heron sleeps.")


def test_answers_that_say_the_same_are_given_once() -> None:
    assert distinct(["Yes.", "yes", "YES", " ", "the marsh", '"The marsh"']) == ["Yes.", "the marsh"]


def test_an_answer_of_punctuation_alone_is_kept() -> None:
    assert distinct(["+", "-"]) == ["+", "-"]


def test_a_title_made_of_the_opening_is_short() -> None:
    assert opening("A heron waits.") == "A heron waits."
    assert len(opening("A heron waits. " * 50)) <= 70
