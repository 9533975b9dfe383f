"""What bench.tracing measures with."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.tracing import peer
from bench.tracing.brute import Brute
from bench.tracing.compare import quantiles
from bench.tracing.corpus import Texts, limit, portions
from bench.tracing.growth import SEGMENT, Measured, extrapolate
from bench.tracing.responses import is_prose, responses
from bench.tracing.rules import Ids, Rules, attribute, rules
from bench.tracing.sources import LONGEST, pieces


class Bytes:
    """Tokens that are the bytes of the text."""

    def encode_many(self, texts: Sequence[str]) -> list[Ids]:
        return [np.frombuffer(text.encode(), dtype=np.uint8).astype(np.uint16) for text in texts]


tokens = st.integers(0, 4)
texts = st.lists(tokens, min_size=1, max_size=12)


@settings(max_examples=200, deadline=None)
@given(
    documents=st.lists(texts, min_size=1, max_size=4),
    text=texts,
    sets=st.tuples(st.sets(tokens), st.sets(tokens, max_size=2)),
    most=st.integers(1, 5),
    least=st.integers(1, 3),
)
def test_the_rules_find_the_spans_that_the_peers_procedure_does_step_by_step(
    documents: list[list[int]], text: list[int], sets: tuple[set[int], set[int]], most: int, least: int
) -> None:
    words, delimiters = sets
    brute = Brute([documents], end=9)
    expected, last = [], 0
    for start in range(len(text)):
        if text[start] not in words:
            continue
        length = max(length for length in range(len(text) - start + 1) if brute.places(text[start : start + length]))
        cut = next((at + 1 for at in range(length - 1) if text[start + at] in delimiters), length)
        while cut > 0 and start + cut < len(text) and text[start + cut] not in words:
            cut -= 1
        if cut < least:
            continue
        count = len(brute.places(text[start : start + cut]))
        if count <= most and start + cut > last:
            last = start + cut
            expected.append((start, start + cut, count))
    by = Rules(np.isin(np.arange(5), [*words]), np.isin(np.arange(5), [*delimiters]))

    def longest(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        pairs = zip(starts.tolist(), lengths.tolist(), strict=True)
        return np.array([brute._longest(text, *pair, as_peer=False) for pair in pairs], dtype=np.int64)

    def count_of(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        pairs = zip(starts.tolist(), lengths.tolist(), strict=True)
        return np.array([len(brute.places(text[at : at + length])) for at, length in pairs], dtype=np.int64)

    ids = np.array(text, dtype=np.uint16)
    assert attribute(ids, by, longest, count_of, min_length=least, max_count=most) == expected


def test_a_token_begins_a_word_after_a_space_or_as_a_single_character_but_no_comma() -> None:
    by = rules([b" word", b"word", b".", b",", b"\n", b"..."])
    assert by.words.tolist() == [True, False, True, False, True, False]
    assert by.delimiters.tolist() == [False, False, True, False, True, False]


@given(lengths=st.lists(st.integers(1, 50), min_size=1, max_size=40), segments=st.integers(1, 10))
def test_the_limit_is_the_least_that_gives_no_more_segments_than_asked(lengths: list[int], segments: int) -> None:
    most = limit(lengths, segments)
    assert sum(portions(lengths, most)) == len(lengths)
    assert len(portions(lengths, most)) <= segments
    assert most == max(lengths) or len(portions(lengths, most - 1)) > segments


def test_making_texts_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    documents = [f"{number} " * 60 for number in range(400)]
    sizes = (5_000, 12_000, 1 << 30)
    whole = Texts(tmp_path / "whole").make(documents[:200], documents[200:], sizes, Bytes())
    stopped = Texts(tmp_path / "stopped")
    with pytest.raises(ZeroDivisionError):
        stopped.make(
            documents[:200], (text for number in range(1) for text in [documents[1 // number]]), sizes, Bytes()
        )
    assert not (stopped.part(2).folder / "part.json").exists()
    resumed = stopped.make(documents[:200], documents[200:], sizes, Bytes())
    for one, other in zip(whole, resumed, strict=True):
        assert one.texts.read_bytes() == other.texts.read_bytes()
        assert [ids.tolist() for ids in one.documents()] == [ids.tolist() for ids in other.documents()]
    kept = sum(part.about["documents"] for part in whole)
    assert kept + len(stopped.held_out()) == 400
    assert 5_000 <= whole[0].about["tokens"] < 5_500


def test_long_texts_are_cut_at_lines_and_none_is_there_twice() -> None:
    text = "\n".join(f"line {number} of a long text" for number in range(10_000))
    found = list(pieces([text, text, "short"]))
    assert "\n".join(found) == text
    assert max(map(len, found)) <= LONGEST


def test_half_of_the_responses_take_turns_between_the_corpus_and_other_text(tmp_path: Path) -> None:
    inside, outside = (
        [" ".join(f"{where}{number} is that of the " for number in range(at, at + 99)) for at in range(0, 999, 99)]
        for where in ("in", "out")
    )
    (part,) = Texts(tmp_path).make(inside, (), (1 << 30,), Bytes())
    made = responses(part, outside, ["why?"], 6, lambda text: text[:5000])
    assert not is_prose("Contents\nIndex\nPrevious. Next. \n" * 20)
    for number, response in enumerate(made):
        words = response.text.split()[:-1]
        assert response.stitched is (number % 2 == 0)
        assert any(word.startswith("in") for word in words) is response.stitched
        assert any(word.startswith("out") for word in words)
    assert made == responses(part, outside, ["why?"], 6, lambda text: text[:5000])


def test_the_peers_files_hold_every_document_after_a_separator(tmp_path: Path) -> None:
    documents = [np.array(ids, dtype=np.uint16) for ids in ([1, 2], [3], [1, 5, 1])]
    peer.write(tmp_path, iter(documents), [2, 1])
    first, second = (np.fromfile(tmp_path / f"tokenized.{shard}", dtype=np.uint16).tolist() for shard in (0, 1))
    assert (first, second) == ([0xFFFF, 1, 2, 0xFFFF, 3], [0xFFFF, 1, 5, 1])
    assert np.fromfile(tmp_path / "offset.0", dtype=np.uint64).tolist() == [0, 6]
    assert (tmp_path / "unigram.1").read_text() == "1 2\n5 1\n65535 1\n"
    lines = (tmp_path / "metadata.0").read_bytes()
    for at in np.fromfile(tmp_path / "metaoff.0", dtype=np.uint64).tolist():
        assert lines[at:].startswith(b'{"path"')


def test_quantiles_are_times_that_were_taken() -> None:
    assert quantiles([float(number) for number in range(1, 101)]) == (50.5, 95.0)
    assert quantiles([3.0]) == (3.0, 3.0)


def test_extrapolation_adds_bits_for_larger_segments_and_search_for_each() -> None:
    # 4 ms once, and for each segment half a millisecond a doubling
    def index(power: int, segments: int) -> Measured:
        return Measured(segments << power, segments, 5.0, 4 + segments * power / 2, 100.0 * power)

    cost = extrapolate([index(20, 1), index(24, 1), index(27, 1), index(20, 16)], tokens=10 * SEGMENT)
    assert cost.segments == 10
    assert cost.terabytes == pytest.approx(10 * SEGMENT * (5 + 4 / 8) / 1e12)
    assert cost.cpu_s == pytest.approx((4 + 10 * 15.5) / 1000)
    assert cost.warm_s == pytest.approx((4 + 10 * 15.5 / 64) / 1000)
    assert cost.reads == pytest.approx(10 * 3100)


def test_extrapolation_takes_no_segment_to_get_cheaper_by_growing() -> None:
    falling = [Measured(1 << power, 1, 5.0, 50.0 - power) for power in (20, 24, 27)]
    assert extrapolate([*falling, Measured(1 << 24, 10, 5.0, 200.0)]).cpu_s > 1863 * 0.015


def test_brute_force_knows_what_follows_and_backs_off() -> None:
    brute = Brute([[[1, 2, 3]], [[1, 2], [5, 1, 2, 4]]], end=0)
    assert brute.following([1, 2]) == [(0, 1), (3, 1), (4, 1)]
    assert brute.suffix([9, 1, 2]) == 2
    assert brute.suffix([9]) == 0
    assert brute.following([]) == [(0, 3), *[(1, 3), (2, 3), (3, 1), (4, 1), (5, 1)]]
    assert sorted(brute.places([2])) == [(0, 0, 1), (1, 0, 1), (1, 1, 2)]
