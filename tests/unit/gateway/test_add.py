"""Adding texts: files, folders, and data sets of a hub, which is one that the test serves."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from gateway.cli.data import commands
from gateway.cli.failure import Failure
from services.retrieval.datastore.build import build
from services.retrieval.datastore.deletions import Deletions
from services.retrieval.datastore.generation import RECORD
from tests.hub_support import COMMIT, serving
from tests.retrieval_support import HashingEncoder, opened, owner

CARDS = {"some/ants": {"license": "cc-by-4.0"}, "some/nameless": {}}


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    path = tmp_path_factory.mktemp("hub") / "train.parquet"
    pq.write_table(pa.table({"body": ["one ant", "two ants"], "key": ["a", "b"]}), path)
    with serving(CARDS, path.read_bytes(), "train") as url:
        yield url


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, endpoint: str) -> Path:
    monkeypatch.setenv("CANDOR_HOME", str(tmp_path))
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    return tmp_path


def add(*words: str) -> str:
    done = CliRunner().invoke(commands, ["add", *words])
    if done.exception:
        raise done.exception
    return done.output


def test_a_data_set_becomes_a_source_with_the_licence_of_its_card(home: Path) -> None:
    told = add("papers", "hub:some/ants", "--text-column", "body", "--id-column", "key")
    assert (home / "texts" / "papers" / "some-ants").is_dir()
    # the command's output wraps at the width of a terminal that is none
    assert "licence cc-by-4.0" in told
    assert COMMIT in told
    build(home, [owner("papers")], HashingEncoder.card, HashingEncoder, lambda _: None)
    (segment,) = opened(home).segments
    passages = [segment.passages.passage(row) for row in range(2)]
    assert [(passage.document, passage.text) for passage in passages] == [("a", "one ant"), ("b", "two ants")]
    assert {passage.licence for passage in passages} == {"cc-by-4.0"}


def test_a_file_and_a_folder_are_copied(home: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.txt").write_text("one ant")
    add("papers", str(tmp_path / "mine"))
    add("papers", str(tmp_path / "mine" / "a.txt"))
    assert (home / "texts" / "papers" / "mine" / "a.txt").read_text() == "one ant"
    assert (home / "texts" / "papers" / "a.txt").read_text() == "one ant"


def test_who_adds_texts_of_an_owner_who_was_deleted_is_told_how_to_have_them_built(home: Path, tmp_path: Path) -> None:
    assert add("papers", str(write(tmp_path / "a.txt"))).endswith("Next: candor data build\n")
    target = home / "retrieval" / "main"
    target.mkdir(parents=True)
    Deletions().with_owner("papers", 1, recode=False).write(target)
    told = add("papers", str(write(tmp_path / "b.txt")))
    assert told.splitlines()[-1] == "Next: candor data build --restore papers"  # as it can be pasted


def test_texts_are_added_also_if_it_is_not_known_what_was_deleted(home: Path, tmp_path: Path) -> None:
    target = home / "retrieval" / "main"
    target.mkdir(parents=True)
    (target / RECORD).write_text("{")
    assert add("papers", str(write(tmp_path / "a.txt"))).endswith("Next: candor data build\n")


def write(path: Path) -> Path:
    path.write_text("one ant")
    return path


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (("nobody", "hub:some/ants"), "There is no owner 'nobody'"),
        (("papers", "hub:some/nothing"), "The hub has no data set some/nothing at main"),
        (("papers", "hub:some/nameless"), "names no licence: give one with --licence"),
        (("papers", "hub:some/ants", "--split", "test"), "no such split or config"),
        (("papers", "hub:some/ants"), "has no column 'text': body, key"),
        (("papers", "hub:"), "is no data set: write hub:NAME"),
        (("papers", "not/there.txt"), "There is no file or folder not/there.txt"),
        (("papers", ""), "the folder you are in"),
        (("papers", "/"), "all files there are"),
        (("papers", "pyproject.toml"), "not of a kind that can be read: .jsonl"),
    ],
)
def test_what_cannot_be_added_is_explained_and_leaves_nothing(home: Path, words: tuple[str, ...], fault: str) -> None:
    with pytest.raises(Failure, match=fault):
        add(*words)
    assert not [*home.glob("texts/*/*")]


def test_a_hub_that_cannot_be_reached_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(Failure, match=r"The hub at http://127\.0\.0\.1:1 cannot be read"):
        add("papers", "hub:some/ants")
