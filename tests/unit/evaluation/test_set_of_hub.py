"""`candor eval set`: questions of a hub, which is one that the test serves."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from gateway.cli.evaluate import commands
from gateway.cli.failure import Failure
from services.evaluation.suites.sets.reading import choose, known
from tests.hub_support import COMMIT, serving

QUESTIONS = {
    "question": ["How many legs has an ant?", "And a spider?"],
    "choices": [["four", "six"], ["six", "eight"]],
    "answer": [1, 1],
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    path = tmp_path / "test.parquet"
    pq.write_table(pa.table(QUESTIONS), path)
    with serving({"some/legs": {"license": "mit"}, "other/legs": {}}, path.read_bytes(), "test") as url:
        monkeypatch.setenv("HF_ENDPOINT", url)
        monkeypatch.setenv("CANDOR_HOME", str(tmp_path))
        yield tmp_path


def test_a_set_of_a_hub_can_be_asked_by_the_name_of_its_folder(home: Path) -> None:
    told = add("hub:some/legs")
    assert "some-legs: 2 questions, licence mit" in told
    assert COMMIT in told
    assert told.endswith("Next: candor eval run rag --sets some-legs\n")
    asked = {one.question: one.answers for one in choose(home, "some-legs", 10, seed=0)}
    assert asked == {"How many legs has an ant?": ["six"], "And a spider?": ["eight"]}
    assert known(home) == ["some-legs"]
    assert "licence not named" in add("hub:other/legs")
    with pytest.raises(Failure, match="is there already: remove it first"):
        add("hub:some/legs")


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (("hub:some/nothing",), "The hub has no data set some/nothing at main"),
        (("hub:some/legs", "--split", "train"), "no such split or config"),
        (("some/legs",), "is no data set: write hub:NAME"),
    ],
)
def test_what_cannot_be_had_is_explained_and_leaves_nothing(home: Path, words: tuple[str, ...], fault: str) -> None:
    with pytest.raises(Failure, match=fault):
        add(*words)
    assert known(home) == []


def test_a_data_set_that_is_no_set_of_questions_is_refused_with_its_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "test.parquet"
    pq.write_table(pa.table({"text": ["one ant"]}), path)
    monkeypatch.setenv("CANDOR_HOME", str(tmp_path))
    with serving({"some/ants": {}}, path.read_bytes(), "test") as url:
        monkeypatch.setenv("HF_ENDPOINT", url)
        with pytest.raises(Failure, match="no known format: the row has text"):
            add("hub:some/ants")
    assert known(tmp_path) == []


def add(*words: str) -> str:
    done = CliRunner().invoke(commands, ["set", *words])
    if done.exception:
        raise done.exception
    return done.output
