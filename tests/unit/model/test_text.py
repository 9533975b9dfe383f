"""Streamed text: never half a character, never a part of a stop string, and in sum the whole text."""

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from services.model.engines.text import TextStream


def decode(tokens: Sequence[int]) -> str:
    """A byte a token: the hardest case for characters of several bytes."""
    return bytes(tokens).decode(errors="replace")


def pieces(text: str, stops: Sequence[str] = ()) -> list[str]:
    stream = TextStream(decode, stops)
    seen, released = [], 0
    for byte in text.encode():
        stream.push(byte)
        seen.append(stream.text[released : stream.released])
        released = stream.released
        if stream.stopped:
            break
    stream.finish()
    return [*seen, stream.text[released : stream.released]]


@settings(deadline=None)
@given(st.text())
def test_pieces_are_whole_characters_and_add_up_to_the_text(text: str) -> None:
    found = pieces(text.replace("\ufffd", ""))
    assert "".join(found) == text.replace("\ufffd", "")
    assert not any("\ufffd" in piece for piece in found)


@settings(deadline=None)
@given(st.text(alphabet="ab€"), st.lists(st.text(alphabet="ab€", min_size=1, max_size=4), min_size=1, max_size=3))
def test_the_text_ends_before_the_first_stop_string_to_be_completed(text: str, stops: list[str]) -> None:
    found = "".join(pieces(text, stops))
    ends = [end for end in range(len(text) + 1) if any(text[:end].endswith(stop) for stop in stops)]
    if not ends:
        assert found == text
    else:
        complete = text[: ends[0]]
        assert found == complete[: min(complete.find(stop) for stop in stops if stop in complete)]


@settings(deadline=None)
@given(st.text(alphabet="ab"), st.text(alphabet="ab", min_size=1, max_size=4))
def test_only_what_may_become_a_stop_string_is_held_back(text: str, stop: str) -> None:
    stream = TextStream(decode, [stop])
    for byte in text.encode():
        stream.push(byte)
        held = stream.text[stream.released :]
        assert stream.stopped or (stop.startswith(held) and len(held) < len(stop))
        if stream.stopped:
            break


def test_half_a_character_at_the_end_is_released_as_the_replacement_character() -> None:
    stream = TextStream(decode)
    stream.push("é".encode()[0])
    assert stream.released == 0
    stream.finish()
    assert stream.text == "\ufffd"
    assert stream.released == 1


def test_the_first_token_is_read_after_the_prompt() -> None:
    def spaced(tokens: Sequence[int]) -> str:
        return " ".join("abc"[token] for token in tokens)

    stream = TextStream(spaced, context=[0])
    stream.push(1)
    assert stream.text == " b"
