"""n-gram overlap by Bloom filter, against sets of n-grams counted by hand."""

import itertools
import random
import tracemalloc

from hypothesis import given, settings
from hypothesis import strategies as st

from services.evaluation.metrics.overlap import FALSE_POSITIVES, Bloom, Collection, matched, ngrams, words

WORDS = st.lists(st.sampled_from("abcde"), max_size=14).map(" ".join)


def test_words_are_cut_at_unicodes_boundaries_and_marks_are_words_of_their_own() -> None:
    assert words("It didn't cost 3.50 (about), naïve café!") == [
        "It", "didn't", "cost", "3.50", "(", "about", ")", ",", "naïve", "café", "!",
    ]  # fmt: skip
    assert ngrams("one two three", 2) == ["one two", "two three"]
    assert ngrams("one two", 3) == []


def _direct(text: str, documents: list[str], n: int) -> float | None:
    found = ngrams(text, n)
    known = {one for document in documents for one in ngrams(document, n)}
    return sum(one in known for one in found) / len(found) if found else None


@settings(max_examples=40)
@given(WORDS, st.lists(WORDS, max_size=6), st.sampled_from([1, 2, 3]))
def test_the_overlap_is_that_of_the_sets_of_ngrams(text: str, documents: list[str], n: int) -> None:
    # a filter with so few strings in it does not lie; a full one is held to its rate below
    assert Collection(documents, n).overlap(text) == _direct(text, documents, n)


@settings(max_examples=40)
@given(st.lists(WORDS, min_size=1, max_size=6), st.sampled_from([1, 2]))
def test_of_a_document_inside_only_what_others_hold_counts(documents: list[str], n: int) -> None:
    assert Collection(documents, n).overlap(documents[0], inside=True) == _direct(documents[0], documents[1:], n)


def test_a_full_filter_holds_all_that_was_put_in_and_lies_as_seldom_as_it_says() -> None:
    inside, outside = [f"in {n}" for n in range(20_000)], [f"out {n}" for n in range(50_000)]
    bloom = Bloom(len(inside))
    bloom.add(inside)
    assert bloom.holds(inside).all()
    assert bloom.holds(outside).mean() < 1.5 * FALSE_POSITIVES
    assert not Bloom(0).holds(["anything"]).any()
    assert bloom.holds([]).shape == (0,)


def test_a_collection_takes_two_bytes_a_word_for_each_filter_and_not_its_ngrams() -> None:
    draw = random.Random(1)
    documents = [" ".join(f"w{draw.randrange(10**6)}" for _ in range(500)) for _ in range(200)]
    tracemalloc.start()
    collection = Collection(documents, 13)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert collection.overlap(documents[0]) == 1.0
    # two filters of 14.4 bits an n-gram, and what one document needs while it is put in
    assert most < 200 * 500 * 2 * 2 + 1_000_000


def test_a_large_collection_agrees_with_sets() -> None:
    draw = random.Random(0)
    documents = [" ".join(draw.choices("abcdefgh", k=80)) for _ in range(40)]
    collection, known = Collection(documents, 4), {one for text in documents for one in ngrams(text, 4)}
    for _ in range(20):
        text = " ".join(draw.choices("abcdefgh", k=60))
        direct = sum(one in known for one in ngrams(text, 4)) / 57
        found = collection.overlap(text)
        assert found is not None
        assert abs(found - direct) < 0.02
    for number, text in enumerate(documents[:5]):
        direct_inside = _direct(text, documents[:number] + documents[number + 1 :], 4)
        found = collection.overlap(text, inside=True)
        assert found is not None
        assert direct_inside is not None
        assert abs(found - direct_inside) < 0.02


@given(st.lists(st.integers(0, 12), max_size=5), st.lists(st.integers(0, 12), max_size=5), st.integers(0, 3))
def test_as_many_are_matched_as_can_be_and_each_once(one: list[int], other: list[int], caliper: int) -> None:
    found = matched([float(x) for x in one], [float(x) for x in other], float(caliper))
    assert all(abs(one[here] - other[there]) <= caliper for here, there in found)
    assert len({here for here, _ in found}) == len({there for _, there in found}) == len(found)
    short, long = sorted((one, other), key=len)
    most = max(
        sum(abs(x - y) <= caliper for x, y in zip(short, order, strict=True))
        for order in itertools.permutations(long, len(short))
    )
    assert len(found) == most
