"""Duplicates, against the comparison of every document with every other."""

import random
from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from services.retrieval.datastore.ingest.duplicates import duplicates
from services.retrieval.datastore.ingest.grams import grams, jaccard, words
from services.retrieval.datastore.ingest.minhash import BANDS, bands
from services.retrieval.datastore.ingest.prepare import fingerprint_of

VOCABULARY = [f"w{number}" for number in range(400)]


def found(texts: Sequence[str], removable: Sequence[bool] | None = None) -> dict[int, str]:
    prints = [fingerprint_of(text) for text in texts]
    stacked = np.array([one.bands for one in prints], np.uint64).reshape(-1, BANDS)
    may = removable or [True] * len(texts)
    return {**duplicates([one.digest for one in prints], stacked, lambda number: prints[number].grams, may)}


def five_grams(text: str) -> set[tuple[str, ...]]:
    split = text.lower().split()
    return {tuple(split[place : place + 5]) for place in range(len(split) - 4)}


def by_brute_force(texts: Sequence[str], removable: Sequence[bool]) -> dict[int, str]:
    gone: dict[int, str] = {}
    kept: list[int] = []
    for number, text in enumerate(texts):
        sets = [(five_grams(text), five_grams(texts[other])) for other in kept]
        if removable[number] and text.lower() in [texts[other].lower() for other in kept]:
            gone[number] = "exact duplicate"
        elif removable[number] and any(a and len(a & b) / len(a | b) >= 0.8 for a, b in sets):
            gone[number] = "near-duplicate"
        else:
            kept.append(number)
    return gone


def collection(seed: int) -> list[str]:
    """Texts of 1 to 120 words, and copies of them with 0 to 12 words changed, in one order of many."""
    draw = random.Random(seed)
    texts = []
    for _ in range(8):
        text = draw.choices(VOCABULARY, k=draw.randint(1, 120))
        for _ in range(draw.randint(1, 6)):
            copy = list(text)
            for _ in range(draw.randint(0, 12)):
                copy[draw.randrange(len(copy))] = draw.choice(VOCABULARY)
            texts.append(" ".join(copy).upper() if draw.random() < 0.2 else " ".join(copy))
    draw.shuffle(texts)
    return texts


@settings(max_examples=40)
@given(st.integers(0, 1 << 32), st.data())
def test_what_is_left_out_is_what_comparing_all_with_all_leaves_out(seed: int, data: st.DataObject) -> None:
    texts = collection(seed)
    removable = data.draw(st.lists(st.booleans(), min_size=len(texts), max_size=len(texts)))
    assert found(texts, removable) == by_brute_force(texts, removable)


def test_white_space_case_and_compatibility_forms_make_no_other_document() -> None:
    assert found(["The ﬁrst\n\ntext.", "  the FIRST text. "]) == {1: "exact duplicate"}


def test_texts_without_words_are_duplicates_only_if_they_are_the_same() -> None:
    assert found(["+ + +", "- - -", "+ + +"]) == {2: "exact duplicate"}


def test_short_texts_that_differ_in_punctuation_alone_are_two() -> None:
    assert found(["a + b", "a - b"]) == {}


@settings(max_examples=40)
@given(st.lists(st.sampled_from("abc"), max_size=30), st.integers(1, 6))
def test_grams_are_as_many_as_there_are_different_runs_of_words(text: list[str], n: int) -> None:
    assert len(grams(text, n)) == len({tuple(text[place : place + n]) for place in range(len(text) - n + 1)})


@settings(max_examples=40)
@given(st.lists(st.sampled_from("abcd"), max_size=40), st.lists(st.sampled_from("abcd"), max_size=40))
def test_similarity_is_jaccards(one: list[str], other: list[str]) -> None:
    a, b = ({tuple(text[place : place + 2]) for place in range(len(text) - 1)} for text in (one, other))
    assert jaccard(grams(one, 2), grams(other, 2)) == (len(a & b) / len(a | b) if a | b else 0.0)


def test_a_long_texts_signature_is_that_of_its_set_however_it_is_computed() -> None:
    numbers = np.random.default_rng(0).integers(0, 1 << 64, 10_000, np.uint64)
    assert np.array_equal(bands(np.unique(numbers)), bands(numbers[::-1]))


def test_words_are_those_of_any_script() -> None:
    assert words("Größe, ΜΕΓΕΘΟΣ und 大きさ²!") == ["grösse", "μεγεθοσ", "und", "大きさ2"]
