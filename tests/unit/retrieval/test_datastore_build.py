"""Segments on disk: built once, whole or not at all, and never served damaged."""

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from string import ascii_letters

import numpy as np
import pytest
from numpy.typing import NDArray

from services.retrieval.datastore.build import NothingToBuild, build
from services.retrieval.datastore.catalogue import Catalogue
from shared.builder import BuildRunning, only_builder
from tests.retrieval_support import HashingEncoder, built, datastore, opened, owner, write_source

TEXTS = {"public": ["the ant", "the bee"], "papers": ["the cat"]}
OWNERS = [owner("public", public=True), owner("papers")]


def segment(home: Path, name: str = "papers") -> Path:
    return home / "retrieval" / "main" / name / "source"


def refuse() -> HashingEncoder:
    raise AssertionError("the encoder was loaded, though nothing had changed")


def test_unchanged_segments_are_left_alone_and_the_encoder_is_not_loaded(tmp_path: Path) -> None:
    datastore(tmp_path, TEXTS)
    report = build(tmp_path, OWNERS, HashingEncoder.card, refuse, lambda _: None)
    assert report.unchanged == ["public/source", "papers/source"]


def test_only_the_source_that_changed_is_built_again(tmp_path: Path) -> None:
    datastore(tmp_path, TEXTS)
    write_source(tmp_path, "papers", ["the dog", "the elk"])
    assert built(tmp_path, OWNERS).built == ["papers/source"]
    (papers,) = opened(tmp_path).of(["papers"])
    assert [papers.passages.text(row) for row in range(2)] == ["the dog", "the elk"]


def test_a_source_that_is_withdrawn_leaves_the_datastore(tmp_path: Path) -> None:
    datastore(tmp_path, TEXTS)
    (tmp_path / "texts" / "papers" / "source.jsonl").unlink()
    assert built(tmp_path, OWNERS).removed == ["papers/source"]
    assert opened(tmp_path).owners == ["public"]
    assert not segment(tmp_path).exists()


def test_a_source_of_which_no_line_is_left_leaves_the_datastore(tmp_path: Path) -> None:
    datastore(tmp_path, TEXTS)
    (tmp_path / "texts" / "papers" / "source.jsonl").write_text("{\n")
    assert [str(line) for line in built(tmp_path, OWNERS).broken]
    assert opened(tmp_path).owners == ["public"]


def test_segments_of_owners_that_a_build_does_not_name_stay(tmp_path: Path) -> None:
    datastore(tmp_path, TEXTS)
    built(tmp_path, [owner("public", public=True)])
    assert opened(tmp_path).owners == ["papers", "public"]


def test_an_owner_who_is_no_longer_public_is_so_without_embedding_anew(tmp_path: Path) -> None:
    datastore(tmp_path, TEXTS)
    build(tmp_path, [owner("public"), owner("papers")], HashingEncoder.card, refuse, lambda _: None)
    assert opened(tmp_path).public == []


@pytest.mark.parametrize("part", ["vectors.npy", "texts.zst", "postings.npy", "passages.npy", "ids.bin"])
def test_a_damaged_file_takes_its_segment_out_and_names_it(tmp_path: Path, part: str) -> None:
    datastore(tmp_path, TEXTS)
    path = segment(tmp_path) / part
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    damaged = opened(tmp_path)
    assert damaged.owners == ["public"]
    (warning,) = damaged.warnings
    assert warning.startswith(f"main: segment papers/source: {part} is damaged")
    assert built(tmp_path, OWNERS).built == ["papers/source"]
    assert not opened(tmp_path).warnings


def test_a_byte_lost_in_a_large_file_is_found_when_all_is_read_and_the_segment_left_out_from_then_on(
    tmp_path: Path,
) -> None:
    draw = random.Random(0)
    long = "".join(draw.choices(ascii_letters, k=800_000))  # one word, which does not compress well
    datastore(tmp_path, {**TEXTS, "papers": [long]})
    path = segment(tmp_path) / "texts.zst"
    content = bytearray(path.read_bytes())
    assert len(content) > 500_000
    content[7000] ^= 1  # between two pieces of the sample
    path.write_bytes(content)
    catalogue = Catalogue(tmp_path / "retrieval", HashingEncoder.card)
    assert [store.owners for store in catalogue.all()] == [["papers", "public"]]
    (warning,) = catalogue.check()
    assert warning.startswith("main: segment papers/source: texts.zst is damaged")
    assert [(store.owners, store.warnings) for store in catalogue.all()] == [(["public"], [warning])]
    built(tmp_path, OWNERS)
    assert [(store.owners, store.warnings) for store in catalogue.all()] == [(["papers", "public"], [])]
    assert catalogue.check() == []


@pytest.mark.parametrize(
    ("harm", "fault"),
    [
        (lambda folder: (folder / "vectors.npy").unlink(), "vectors.npy is missing"),
        (lambda folder: (folder / "texts.zst").write_bytes(b""), "texts.zst is damaged"),
        (lambda folder: (folder / "manifest.json").unlink(), "it has no manifest"),
        (lambda folder: (folder / "manifest.json").write_text('{"format": 1'), "its manifest is damaged"),
        (lambda folder: folder.rename(folder.with_name("other")), "its manifest is of papers/source"),
        (lambda folder: folder.rename(folder.with_name(".unfinished-source")), "a build of it has not finished"),
    ],
)
def test_a_segment_that_is_not_whole_is_named_and_left_out(
    tmp_path: Path, harm: Callable[[Path], object], fault: str
) -> None:
    datastore(tmp_path, TEXTS)
    harm(segment(tmp_path))
    harmed = opened(tmp_path)
    assert harmed.owners == ["public"]
    (warning,) = harmed.warnings
    assert fault in warning


def test_a_segment_of_another_owner_cannot_be_passed_off_by_moving_it(tmp_path: Path) -> None:
    datastore(tmp_path, TEXTS)
    segment(tmp_path).rename(segment(tmp_path, "public").with_name("moved"))
    moved = opened(tmp_path)
    assert moved.owners == ["public"]
    assert "its manifest is of papers/source" in moved.warnings[0]


def test_vectors_of_another_encoder_are_left_out(tmp_path: Path) -> None:
    datastore(tmp_path, TEXTS)
    path = segment(tmp_path) / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["encoder"]["revision"] = "0"
    path.write_text(json.dumps(manifest))
    assert opened(tmp_path).owners == ["public"]
    assert "its vectors are of encoder hashing 0" in opened(tmp_path).warnings[0]


class Killed(BaseException):
    pass


class DyingEncoder(HashingEncoder):
    """Encodes one segment, and dies at the second."""

    def __init__(self) -> None:
        self.calls = 0

    def encode(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> NDArray[np.float32]:
        self.calls += 1
        if self.calls == 2:
            raise Killed
        return super().encode(texts, progress)


def test_after_a_kill_what_was_finished_is_served_and_the_next_build_does_the_rest(tmp_path: Path) -> None:
    for name, texts in TEXTS.items():
        write_source(tmp_path, name, texts)
    with pytest.raises(Killed):
        build(tmp_path, OWNERS, HashingEncoder.card, DyingEncoder, lambda _: None)
    assert opened(tmp_path).owners == ["public"]
    assert "papers/.unfinished-source: a build of it has not finished" in "; ".join(opened(tmp_path).warnings)
    report = built(tmp_path, OWNERS)
    assert (report.unchanged, report.built) == (["public/source"], ["papers/source"])
    assert not opened(tmp_path).warnings


def test_a_vector_that_is_not_finite_is_never_published(tmp_path: Path) -> None:
    class BrokenEncoder(HashingEncoder):
        def encode(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> NDArray[np.float32]:
            return np.full((len(texts), 16), np.nan, np.float32)

    write_source(tmp_path, "papers", ["the cat"])
    with pytest.raises(ValueError, match="not finite"):
        build(tmp_path, OWNERS, HashingEncoder.card, BrokenEncoder, lambda _: None)
    assert not segment(tmp_path).exists()


def test_two_builds_of_one_datastore_do_not_run_at_once(tmp_path: Path) -> None:
    datastore(tmp_path, TEXTS)
    with only_builder(tmp_path / "retrieval" / "main"), pytest.raises(BuildRunning):
        built(tmp_path, OWNERS)


def test_without_any_text_the_build_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NothingToBuild, match="candor data pull"):
        built(tmp_path, OWNERS)
