"""Tokens and the text they make: offsets that fit it, whatever the bytes are."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from services.model.serving.spelling import spelled


@given(text=st.text(), cuts=st.lists(st.integers(0, 60)))
def test_each_token_covers_the_characters_that_its_bytes_belong_to(text: str, cuts: list[int]) -> None:
    raw = text.encode()
    edges = sorted({0, len(raw), *(cut for cut in cuts if cut < len(raw))})
    pieces = [raw[a:b] for a, b in pairwise(edges)]
    whole, spans = spelled(pieces)
    assert whole == text
    offset = 0
    for piece, (start, end) in zip(pieces, spans, strict=True):
        before, after = text[:start].encode(), text[:end].encode()
        assert len(before) <= offset < offset + len(piece) <= len(after)
        assert offset - len(before) < len(text[start].encode())
        assert len(after) - offset - len(piece) < len(text[end - 1].encode())
        offset += len(piece)


def test_a_byte_that_is_no_text_is_one_replacement_character() -> None:
    assert spelled([b"a\xe2", b"", b"\xff", b"b"]) == ("a\ufffd\ufffdb", [(0, 2), (2, 2), (2, 3), (3, 4)])


def test_no_token_is_no_text() -> None:
    assert spelled([]) == ("", [])
