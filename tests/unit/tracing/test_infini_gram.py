"""infini-gram's files, written here as its indexer writes them (`python -m bench.tracing.same` asks the real one)."""

import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.tracing.continuation import continuation
from services.tracing.index.infini_gram import open_shard, shards
from services.tracing.index.stored import BadSegment
from services.tracing.search.arrays import stretches, whole
from services.tracing.search.kernels import longest, ranges
from services.tracing.tokenizer import Tokenizer
from tests.unit.tracing.test_continuation import follow

Texts = list[list[int]]
# ids whose order is another one by number than by lowest byte
token = st.sampled_from([1, 2, 255, 256, 257, 300, 512])
texts = st.lists(st.lists(token, min_size=1, max_size=15), min_size=1, max_size=6)


def write_shard(folder: Path, texts: Texts, key: Callable[[np.ndarray], bytes] = bytes, shard: int = 0) -> None:
    """The files of one shard, in the order of `key` of the tokens."""
    parts = [np.array([0xFFFF, *text], dtype="<u2") for text in texts]
    tokens = np.concatenate(parts)
    starts = np.cumsum([0, *(part.nbytes for part in parts)])[:-1]
    places = sorted(range(tokens.size), key=lambda place: key(tokens[place:]))
    width = -(-int(np.ceil(np.log2(tokens.nbytes))) // 8)
    table = b"".join((2 * place).to_bytes(width, "little") for place in places)
    lines = [
        json.dumps({"path": f"{shard}.jsonl", "linenum": n, "metadata": {"url": f"u{n}"}}) + "\n"
        for n in range(len(texts))
    ]
    offsets = np.cumsum([0, *map(len, lines)])[:-1]
    (folder / f"tokenized.{shard}").write_bytes(tokens.tobytes())
    (folder / f"table.{shard}").write_bytes(table)
    (folder / f"offset.{shard}").write_bytes(starts.astype("<u8").tobytes())
    (folder / f"metadata.{shard}").write_text("".join(lines))
    (folder / f"metaoff.{shard}").write_bytes(offsets.astype("<u8").tobytes())


def by_number(tokens: np.ndarray) -> bytes:
    return tokens.byteswap().tobytes()


@pytest.mark.parametrize("key", [bytes, by_number])
@settings(max_examples=60, deadline=None)
@given(texts=texts, query=st.lists(token, min_size=1, max_size=6), hidden=st.sets(st.integers(0, 5)))
def test_a_shard_answers_as_its_documents_say(
    key: Callable[[np.ndarray], bytes], texts: Texts, query: list[int], hidden: set[int], tokenizer: Tokenizer
) -> None:
    with TemporaryDirectory() as folder:
        write_shard(Path(folder), texts, key)
        segment = open_shard(Path(folder), 0, "owner", "CC0", tokenizer)
    gone = np.array([number for number in hidden if number < len(texts)], dtype=np.int64)
    segment = segment.hiding(gone)
    shown = [text for number, text in enumerate(texts) if number not in hidden]
    ids = np.array(query, dtype=np.uint16)
    count = sum(text[at : at + len(query)] == query for text in shown for at in range(len(text)))
    assert ranges(segment.index, whole(ids))[0, 2] == count
    every = stretches(ids, np.arange(ids.size), np.arange(ids.size, 0, -1))
    reach = [
        max(
            [
                0,
                *(
                    n
                    for n in range(1, 7)
                    if at + n <= len(query)
                    and any(query[at : at + n] == text[x : x + n] for text in shown for x in range(len(text)))
                ),
            ]
        )
        for at in range(len(query))
    ]
    assert longest(segment.index, every).tolist() == reach
    for context in (query, query[:1], []):
        assert continuation(np.array(context, dtype=np.uint16), [segment]).counts == follow(shown, context)
    assert segment.documents == len(shown)
    assert segment.tokens == sum(map(len, shown))
    for number, text in enumerate(texts):
        first, last = segment.bounds(number)
        assert segment.index.tokens[first:last].tolist() == text
        assert segment.documents_at(np.array([first, last - 1])).tolist() == [number, number]
        assert segment.record(number).id == f"0.jsonl:{number}"
        assert segment.find("url", f"u{number}") == ([] if number in hidden else [number])
    assert segment.find("id", "0.jsonl:9") == []


def test_documents_without_metadata_are_named_by_number(tmp_path: Path, tokenizer: Tokenizer) -> None:
    write_shard(tmp_path, [[1, 2], [3]], shard=7)
    (tmp_path / "metadata.7").unlink()
    assert shards(tmp_path) == [7]
    segment = open_shard(tmp_path, 7, "owner", "CC0", tokenizer)
    assert [segment.record(number).id for number in (0, 1)] == ["7:0", "7:1"]
    assert segment.record(0).licence == "CC0"


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("table.0", b"\0\0\0", "places for"),
        ("table.0", bytes([4, 0, 2]), "not in order|places for"),
        ("offset.0", 2 * (2).to_bytes(8, "little"), "does not say where documents begin"),
        ("offset.0", b"\1" * 7, "cannot be read"),
        ("metaoff.0", b"\0" * 8, "metaoff.0 is of 1 documents"),
        ("tokenized.0", b"", "cannot be read"),
    ],
)
def test_a_damaged_shard_is_named(tmp_path: Path, tokenizer: Tokenizer, file: str, content: bytes, says: str) -> None:
    write_shard(tmp_path, [[1, 2], [3]])
    (tmp_path / file).write_bytes(content)
    with pytest.raises(BadSegment, match=says):
        open_shard(tmp_path, 0, "owner", "CC0", tokenizer)


def test_tokens_of_another_tokenizer_are_refused(tmp_path: Path, tokenizer: Tokenizer) -> None:
    write_shard(tmp_path, [[1, tokenizer.size]])
    with pytest.raises(BadSegment, match="name the tokenizer"):
        open_shard(tmp_path, 0, "owner", "CC0", tokenizer)
