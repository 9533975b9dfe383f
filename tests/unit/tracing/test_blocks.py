"""What is left of a build that was stopped, and what a build does not take on trust."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from services.tracing.index.blocks import TextsChanged
from services.tracing.index.build import How, build_corpus, within
from services.tracing.index.corpus import read_manifest
from services.tracing.index.opening import open_corpus
from services.tracing.index.suffixes import MAX_TOKENS
from services.tracing.tokenizer import Tokenizer
from shared.builder import BuildRunning
from shared.schedule import Advance, Here, Task, Work
from tests.tracing_support import owner, write_texts
from tests.unit.tracing.live import opened
from tests.unit.tracing.test_index import Interrupted, fingerprint

SMALL = 3000


@pytest.fixture
def texts(tmp_path: Path, paragraphs: list[str]) -> Path:
    return write_texts(tmp_path / "papers.jsonl", "papers", paragraphs[:40])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "tracing" / "papers"


class Meanwhile(Here):
    """Something happens before the first block is written."""

    def __init__(self, happens: Callable[[], object]) -> None:
        self._happens = happens

    def run(self, make: Callable[[], Work[Task]], tasks: Sequence[Task], advance: Advance) -> None:
        self._happens()
        super().run(make, tasks, advance)


def stop(folder: Path, texts: Path, tokenizer: Tokenizer, after: int = 3) -> list[Path]:
    """Stop a build after some blocks; those."""
    with pytest.raises(KeyboardInterrupt):
        build(folder, texts, tokenizer, How(Interrupted(after), block_bytes=SMALL))
    return sorted((folder / "blocks").iterdir())


def build(folder: Path, texts: Path, tokenizer: Tokenizer, how: How | None = None, *, restore: bool = False) -> bool:
    how = how or How(block_bytes=SMALL)
    return build_corpus(folder, owner("papers"), [texts], tokenizer, lambda _: None, how=how, restore=restore).fresh


def test_deleting_a_corpus_removes_what_a_stopped_build_had_written_of_it(
    folder: Path, texts: Path, tokenizer: Tokenizer
) -> None:
    build(folder, texts, tokenizer)
    texts.write_text("".join(texts.read_text().splitlines(keepends=True)[1:]))
    assert stop(folder, texts, tokenizer)
    opened(folder.parent, tokenizer)[1].drop("papers")
    assert list(folder.rglob("*.bin")) == []


def test_a_corpus_deleted_while_it_is_built_leaves_nothing(folder: Path, texts: Path, tokenizer: Tokenizer) -> None:
    build(folder, texts, tokenizer)
    texts.write_text("".join(texts.read_text().splitlines(keepends=True)[1:]))
    _, writer = opened(folder.parent, tokenizer)
    how = How(Meanwhile(lambda: writer.drop("papers")), block_bytes=SMALL)
    assert build_corpus(folder, owner("papers"), [texts], tokenizer, lambda _: None, how=how).documents == 0
    assert list(folder.rglob("*.bin")) == []
    manifest = read_manifest(folder)
    assert manifest is not None
    assert manifest.dropped


def test_blocks_that_a_build_left_when_it_was_killed_at_its_very_end_are_removed(
    folder: Path, texts: Path, tokenizer: Tokenizer
) -> None:
    build(folder, texts, tokenizer)
    (folder / "blocks" / "left").mkdir(parents=True)
    assert not build(folder, texts, tokenizer)
    assert not (folder / "blocks").exists()


def test_a_finished_block_that_was_damaged_is_written_again(folder: Path, texts: Path, tokenizer: Tokenizer) -> None:
    victim = stop(folder, texts, tokenizer)[1] / "suffixes.bin"
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(data)
    assert build(folder, texts, tokenizer)
    assert not open_corpus(folder, tokenizer).damaged


def test_only_one_build_of_a_corpus_runs_at_a_time(folder: Path, texts: Path, tokenizer: Tokenizer) -> None:
    def second() -> None:
        with pytest.raises(BuildRunning, match="papers"):
            build(folder, texts, tokenizer)

    assert build(folder, texts, tokenizer, How(Meanwhile(second), block_bytes=SMALL))


def test_texts_that_change_while_they_are_read_end_the_build_with_the_reason(
    folder: Path, texts: Path, tokenizer: Tokenizer
) -> None:
    def change() -> None:
        texts.write_text(texts.read_text().replace("Title 3", "Title 4"))

    with pytest.raises(TextsChanged, match=r"papers\.jsonl"):
        build(folder, texts, tokenizer, How(Meanwhile(change), block_bytes=SMALL))
    assert read_manifest(folder) is None


@pytest.mark.parametrize("field", [{"metadata": {"a": "\ud800"}}, {"metadata": {"\ud800": 1}}, {"licence": "\ud800"}])
def test_half_a_surrogate_pair_anywhere_in_a_line_leaves_that_document_out(
    field: dict[str, object], folder: Path, texts: Path, tokenizer: Tokenizer
) -> None:
    lines = texts.read_text().splitlines()
    lines[2] = json.dumps({**json.loads(lines[2]), **field})
    texts.write_text("\n".join(lines))
    built = build_corpus(folder, owner("papers"), [texts], tokenizer, lambda _: None)
    assert (built.documents, built.skipped) == (39, 1)


def test_no_memory_makes_a_block_longer_than_can_be_sorted() -> None:
    assert within(1 << 40, 1, Here()).block_bytes <= MAX_TOKENS


def test_the_corpus_does_not_depend_on_where_blocks_are_cut(
    tmp_path: Path, tokenizer: Tokenizer, paragraphs: list[str]
) -> None:
    again = paragraphs[:12] * 3 + [text[20:] for text in paragraphs[:12]]
    texts = write_texts(tmp_path / "papers.jsonl", "papers", again)
    made = []
    for size in (1000, 3000, 9000, 1 << 24):
        build(tmp_path / str(size) / "papers", texts, tokenizer, How(block_bytes=size))
        made.append(fingerprint(tmp_path / str(size) / "papers"))
    assert made[0] == made[1] == made[2] == made[3]
