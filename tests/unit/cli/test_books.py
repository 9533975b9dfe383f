"""`candor eval book`: what it writes and says, and what it refuses in plain words."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli.app import app
from gateway.cli.failure import Failure
from services.evaluation.books.file import read
from tests.unit.evaluation.story import file, story


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CANDOR_HOME", str(tmp_path))
    (tmp_path / "The Lantern.txt").write_text(file(story()))
    return tmp_path


def test_a_book_is_kept_and_the_next_command_named(home: Path) -> None:
    result = CliRunner().invoke(app, ["eval", "book", str(home / "The Lantern.txt"), "--owner", "papers"])
    assert result.exit_code == 0, result.output
    assert read(home, "the-lantern").owner == "papers"
    for said in ("The Lantern, 4", "19 events", "Fenwick", "candor eval run copybench"):
        assert said in result.output


def test_an_unknown_owner_an_id_that_is_none_and_an_empty_book_are_refused(home: Path) -> None:
    (home / "empty.txt").write_text("")
    book = str(home / "The Lantern.txt")
    for words, said in (
        ([book, "--owner", "nobody"], "no owner 'nobody'"),
        ([book, "--owner", "papers", "--id", "../up"], "is no id"),
        ([str(home / "empty.txt"), "--owner", "papers"], "empty"),
    ):
        result = CliRunner().invoke(app, ["eval", "book", *words])
        assert isinstance(result.exception, Failure), result.output
        assert said in str(result.exception)
    assert not (home / "books").exists()
