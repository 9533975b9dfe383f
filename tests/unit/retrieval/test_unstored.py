"""Datastores without stored vectors."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from services.retrieval.compactds import ann
from services.retrieval.datastore.build import Report, build
from services.retrieval.datastore.catalogue import Catalogue
from services.retrieval.datastore.manifest import INDEXES, BadIndexes
from services.retrieval.datastore.opened import Datastore
from services.retrieval.datastore.segment import VECTORS
from services.retrieval.errors import IndexNotBuilt
from services.retrieval.search import Effort, Found, Options, search
from services.retrieval.service import Retrieval
from shared.contracts.retrieval import SearchRequest
from tests.retrieval_support import HashingEncoder, opened, owner, write_source

TEXTS = {"public": ["the ant", "the bee"], "papers": ["the cat", "the dog"], "news": ["the elk"]}
OWNERS = [owner(name, public=name == "public") for name in TEXTS]
WITHOUT = ("leann", "bm25")


class Counting(HashingEncoder):
    """Counts what it embeds."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def encode(self, texts, progress=None):  # type: ignore[no-untyped-def]
        self.texts += texts
        return super().encode(texts, progress)


def make(home: Path, indexes: Sequence[str]) -> tuple[Report, list[str]]:
    """The report, and the texts that were embedded."""
    encoder = Counting()
    report = build(home, OWNERS, HashingEncoder.card, lambda: encoder, lambda _: None, indexes=indexes)
    return report, encoder.texts


def write(home: Path) -> None:
    for name, texts in TEXTS.items():
        write_source(home, name, texts)


def leann(store: Datastore) -> list[Found]:
    (found,) = search(store.segments, HashingEncoder(), ["the dog"], Options("leann", 3, 5), Effort())
    return found


@pytest.fixture
def home(tmp_path: Path) -> Path:
    write(tmp_path)
    make(tmp_path, WITHOUT)
    return tmp_path


def test_no_vectors_stay_on_disk_and_leann_finds_what_it_finds_with_them(home: Path, tmp_path: Path) -> None:
    assert not [path for name in (VECTORS, ann.FILE) for path in home.rglob(name)]
    store = opened(home)
    assert not store.warnings
    other = tmp_path / "other"
    write(other)
    make(other, INDEXES)
    assert leann(store) == leann(opened(other))


def test_the_manifest_says_which_indexes_there_are(home: Path) -> None:
    assert {tuple(segment.manifest.indexes) for segment in opened(home).segments} == {WITHOUT}


@pytest.mark.parametrize("index", ["compactds", "hybrid"])
def test_a_search_of_vectors_that_are_not_there_is_refused(home: Path, index: str) -> None:
    service = Retrieval(HashingEncoder(), Catalogue(home / "retrieval", HashingEncoder.card), [])
    with pytest.raises(IndexNotBuilt, match=f"'main' has no index '{index}'"):
        service.search(SearchRequest.model_validate({"query": "dog", "index": index}))
    assert service.datastores().data[0].indexes == ["leann", "bm25"]


def test_nothing_is_embedded_again_as_long_as_nothing_changes(home: Path) -> None:
    report, embedded = make(home, WITHOUT)
    assert (len(report.unchanged), embedded) == (3, [])


def test_of_an_owner_who_is_not_public_only_the_changed_segment_is_embedded_again(home: Path) -> None:
    write_source(home, "papers", ["the cat", "the fox"])
    _, embedded = make(home, WITHOUT)
    assert sorted(embedded) == ["the cat", "the fox"]


def test_when_public_text_changes_every_passage_is_embedded_once_and_coded_as_in_a_new_datastore(
    home: Path, tmp_path: Path
) -> None:
    write_source(home, "public", ["the fox"])
    _, embedded = make(home, WITHOUT)
    assert sorted(embedded) == ["the cat", "the dog", "the elk", "the fox"]
    other = tmp_path / "other"
    write(other)
    write_source(other, "public", ["the fox"])
    make(other, WITHOUT)
    files = [
        {
            path.relative_to(place): path.read_bytes()
            for path in (place / "retrieval").rglob("*")
            if path.is_file() and not path.name.startswith(".")
        }
        for place in (home, other)
    ]
    assert files[0] == files[1]


def test_vectors_come_back_when_they_are_asked_for(home: Path) -> None:
    make(home, INDEXES)
    (found,) = search(opened(home).segments, HashingEncoder(), ["the dog"], Options("compactds", 1, 5), Effort())
    assert found[0].passage.text == "the dog"


def test_vectors_that_are_there_are_removed_without_embedding(tmp_path: Path) -> None:
    write(tmp_path)
    make(tmp_path, INDEXES)
    _, embedded = make(tmp_path, WITHOUT)
    assert embedded == []
    assert not list(tmp_path.rglob(VECTORS))
    assert leann(opened(tmp_path))


@pytest.mark.parametrize("indexes", [[], ["leann"], ["compactds", "bm25"], ["leann", "bm25", "hybrid"]])
def test_a_choice_of_indexes_that_is_none_is_refused(tmp_path: Path, indexes: list[str]) -> None:
    write(tmp_path)
    with pytest.raises(BadIndexes, match="compactds can be left out"):
        make(tmp_path, indexes)
