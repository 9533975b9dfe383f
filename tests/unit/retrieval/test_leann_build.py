"""LEANN's part of a datastore: whose data is in the codebook, and what is coded again when."""

import json
from pathlib import Path

import pytest

from services.retrieval.datastore.build import build
from services.retrieval.leann import codes
from services.retrieval.leann.codebook import FILE
from services.retrieval.search import Effort, Options, search
from tests.retrieval_support import HashingEncoder, built, datastore, opened, owner, write_source

TEXTS = {"public": ["the ant", "the bee"], "papers": ["the cat", "the dog"], "news": ["the elk"]}
OWNERS = [owner(name, public=name == "public") for name in TEXTS]


def codebook(home: Path) -> bytes:
    return (home / "retrieval" / "main" / FILE).read_bytes()


def manifest(home: Path, name: str) -> Path:
    return home / "retrieval" / "main" / name / "source" / "manifest.json"


def test_the_codebook_says_whose_passages_it_was_trained_on_and_how_many(tmp_path: Path) -> None:
    book = datastore(tmp_path, TEXTS).codebook
    assert book is not None
    assert (book.origin.segments, book.origin.passages) == (["public/source"], 2)
    assert book.origin.encoder.name == "hashing"


def test_the_codebook_is_the_same_to_the_last_bit_whichever_owners_there_are_besides_the_public_ones(
    tmp_path: Path,
) -> None:
    for place, names in (("all", ["public", "papers", "news"]), ("some", ["public", "news"]), ("one", ["public"])):
        datastore(tmp_path / place, {name: TEXTS[name] for name in names})
    assert codebook(tmp_path / "all") == codebook(tmp_path / "some") == codebook(tmp_path / "one")


def test_an_owner_who_joins_or_leaves_changes_neither_the_codebook_nor_the_others_codes(tmp_path: Path) -> None:
    datastore(tmp_path, {"public": TEXTS["public"], "papers": TEXTS["papers"]})
    before = codebook(tmp_path), manifest(tmp_path, "papers").read_bytes()
    write_source(tmp_path, "news", TEXTS["news"])
    built(tmp_path, OWNERS)
    assert (codebook(tmp_path), manifest(tmp_path, "papers").read_bytes()) == before
    (tmp_path / "texts" / "news" / "source.jsonl").unlink()
    built(tmp_path, OWNERS)
    assert (codebook(tmp_path), manifest(tmp_path, "papers").read_bytes()) == before


def test_when_public_text_changes_everything_is_coded_as_if_it_had_always_been_so(tmp_path: Path) -> None:
    changed = {**TEXTS, "public": ["the fox"]}
    datastore(tmp_path / "old", TEXTS)
    before = codebook(tmp_path / "old")
    datastore(tmp_path / "old", changed)
    datastore(tmp_path / "new", changed)
    assert codebook(tmp_path / "old") == codebook(tmp_path / "new") != before
    for name in TEXTS:
        folders = [manifest(tmp_path / place, name).parent for place in ("old", "new")]
        files = [{path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders]
        assert files[0] == files[1]


def test_of_an_owner_who_is_public_no_more_nothing_stays_in_the_codebook(tmp_path: Path) -> None:
    datastore(tmp_path, TEXTS)
    built(tmp_path, [owner(name) for name in TEXTS])
    book = opened(tmp_path).codebook
    assert book is not None
    assert (book.origin.segments, book.origin.passages) == ([], 0)


def test_unchanged_codes_are_left_alone(tmp_path: Path) -> None:
    datastore(tmp_path, TEXTS)
    files = [path for path in (tmp_path / "retrieval").rglob("*") if path.is_file() and not path.name.startswith(".")]
    times = {path: path.stat().st_mtime_ns for path in files}
    built(tmp_path, OWNERS)
    assert times == {path: path.stat().st_mtime_ns for path in times}


def test_a_datastore_built_before_there_were_codes_gets_them_without_embedding_anew(tmp_path: Path) -> None:
    datastore(tmp_path, TEXTS)
    (tmp_path / "retrieval" / "main" / FILE).unlink()
    for name in TEXTS:
        path = manifest(tmp_path, name)
        fields = json.loads(path.read_text())
        del fields["codebook"]
        fields["files"] = {file: stamp for file, stamp in fields["files"].items() if not file.startswith(codes.PREFIX)}
        path.write_text(json.dumps(fields))
        for file in path.parent.glob(f"{codes.PREFIX}*"):
            file.unlink()
    old = opened(tmp_path)
    (warning,) = old.warnings
    assert warning.startswith("main: there is no codebook; the index `leann` is without it")
    assert len(old.segments) == 3

    def refuse() -> HashingEncoder:
        raise AssertionError("the encoder was loaded, though nothing had changed")

    build(tmp_path, OWNERS, HashingEncoder.card, refuse, lambda _: None)
    assert not opened(tmp_path).warnings


def test_a_segment_without_codes_is_named_and_the_others_are_searched(tmp_path: Path) -> None:
    datastore(tmp_path, TEXTS)
    path = manifest(tmp_path, "papers")
    fields = json.loads(path.read_text())
    path.write_text(json.dumps({**fields, "codebook": "of another time"}))
    store = opened(tmp_path)
    (warning,) = store.warnings
    assert warning.startswith("main: segment papers/source has no codes for LEANN")
    (found,) = search(store.of(TEXTS), HashingEncoder(), ["the dog"], Options("leann", 10, 10), Effort())
    assert {passage.owner for passage in found} == {"public", "news"}
    (exact,) = search(store.of(TEXTS), HashingEncoder(), ["the dog"], Options("compactds", 10, 10), Effort())
    assert {passage.owner for passage in exact} == {*TEXTS}
    built(tmp_path, OWNERS)
    assert not opened(tmp_path).warnings


class Killed(BaseException):
    pass


def test_a_build_killed_between_two_segments_codes_leaves_the_old_ones_and_the_next_does_the_rest(
    tmp_path: Path,
) -> None:
    datastore(tmp_path, TEXTS)
    before = codebook(tmp_path)
    write_source(tmp_path, "public", ["the fox"])
    told: list[str] = []

    def tell(line: str) -> None:
        told.append(line)
        if line.endswith("codes for LEANN"):
            raise Killed

    with pytest.raises(Killed):
        build(tmp_path, OWNERS, HashingEncoder.card, HashingEncoder, tell)
    killed = opened(tmp_path)
    assert len(killed.segments) == 3
    assert codebook(tmp_path) == before
    (warning,) = killed.warnings
    assert "public/source has no codes" in warning
    built(tmp_path, OWNERS)
    assert not opened(tmp_path).warnings
    for name in TEXTS:
        assert len(list(manifest(tmp_path, name).parent.glob(f"{codes.PREFIX}*"))) == 3
