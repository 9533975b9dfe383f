from hypothesis import given, settings
from hypothesis import strategies as st

from services.retrieval.datastore.chunks import WORDS, cut

quickly = settings(deadline=None, max_examples=60)
texts = st.text(st.characters(exclude_categories=["Cs"]))
sentences = st.lists(
    st.sampled_from(["a", "naïve", "\n\n", "\u2003", "\U0001d518nicode", "\t", "\x1f", "e\u0301"])
).map(" ".join)


@quickly
@given(texts | sentences, st.integers(1, 5))
def test_passages_are_the_words_of_the_text_each_once_and_in_order(text: str, size: int) -> None:
    passages = [text[chunk.start : chunk.end] for chunk in cut(text, size)]
    assert [word for passage in passages for word in passage.split()] == text.split()


@quickly
@given(texts | sentences, st.integers(1, 5))
def test_every_passage_but_the_last_has_the_full_number_of_words(text: str, size: int) -> None:
    counts = [len(text[chunk.start : chunk.end].split()) for chunk in cut(text, size)]
    assert all(count == size for count in counts[:-1])
    assert all(0 < count <= size for count in counts[-1:])


@quickly
@given(texts | sentences, st.integers(1, 5))
def test_no_passage_begins_or_ends_with_white_space(text: str, size: int) -> None:
    for chunk in cut(text, size):
        passage = text[chunk.start : chunk.end]
        assert passage == passage.strip()


def test_the_last_words_are_kept_however_few() -> None:
    first, last = cut("word " * WORDS + "end")
    assert (last.start, last.end) == (5 * WORDS, 5 * WORDS + 3)
    assert first.start == 0
