"""Changes that SIGKILL ends at every write: the corpus is as before or as after, and the change can be made again."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from services.tracing.tokenizer import Tokenizer
from tests.killing import killed
from tests.tracing_support import train_tokenizer
from tests.unit.tracing.live import answers, documents, empty, held, opened

BUILT = {"a": "the heron waits", "b": "for fish", "c": "at dawn"}
PROBE = "the heron waits for fish at dawn and the crane sleeps"


def build(root: Path, tokenizer: Tokenizer, *, restore: bool = False) -> None:
    """As `candor data build` does for this corpus, of files that have one document more."""
    from services.tracing.index.build import build_corpus
    from tests.tracing_support import owner

    file = root / "texts.jsonl"
    build_corpus(root / "papers", owner("papers", public=True), [file], tokenizer, lambda _: None, restore=restore)


def prepared(root: Path) -> dict[str, Any]:
    """What the changes of these tests are made with."""
    tokenizer = Tokenizer(root / "tokenizer.json")
    catalogue, writer = opened(root, tokenizer)
    names = {"documents": documents, "build": build, "root": root, "tokenizer": tokenizer}
    return {**names, "catalogue": catalogue, "writer": writer}


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("bpe") / "tokenizer.json"
    train_tokenizer(file)
    return file


@pytest.mark.parametrize(
    ("what", "points"),
    [
        ('writer.delete("papers", "a")', 4),
        ('writer.add("papers", documents({"a": "the crane", "e": "sleeps"}, tokenizer))', 18),
        ('writer.merge("papers")', 24),
        ('writer.drop("papers")', 12),
        ("build(root, tokenizer)", 20),
    ],
)
def test_a_change_killed_at_any_step_is_there_or_not_and_can_be_made_again(
    what: str, points: int, vocabulary: Path, tmp_path: Path
) -> None:
    tokenizer = Tokenizer(vocabulary)
    root = tmp_path / "before"
    empty(root, tokenizer, BUILT)
    shutil.copy(vocabulary, root / "tokenizer.json")
    lines = [f'{{"id": "{identity}", "text": "{text}"}}\n' for identity, text in {**BUILT, "d": "the elk"}.items()]
    (root / "texts.jsonl").write_text("".join(lines))
    catalogue, writer = opened(root, tokenizer)
    for number in range(8):
        writer.add("papers", documents({"b": f"the crane {number}", f"n{number}": "sleeps"}, tokenizer))
    writer.delete("papers", "c")
    before = held(catalogue), answered(catalogue, tokenizer)
    done = Path(shutil.copytree(root, tmp_path / "done"))
    after = make(what, done, tokenizer)
    seen = []
    for place in killed("tests.unit.tracing.test_killed", what, root, tmp_path, points):
        catalogue, writer = opened(place, tokenizer)
        seen.append((held(catalogue), answered(catalogue, tokenizer)))
        assert seen[-1] in (before, after)
        assert set(catalogue.now().warnings) <= {"the corpora are empty: nothing can be traced"}
        writer.resume("papers")
        assert make(what, place, tokenizer) == after
        catalogue, writer = opened(place, tokenizer)
        writer.resume("papers")
        named = set(catalogue.look("papers").manifest.numbers)
        folders = {path.name for path in (place / "papers").iterdir() if path.is_dir()}
        assert {name for name in folders if not name.startswith("segment-")} <= named
        assert named <= folders
        if "drop" in what:
            assert not folders
    assert before in seen


def make(what: str, root: Path, tokenizer: Tokenizer) -> object:
    """Make the change as the driver does; what there is then."""
    names = prepared(root)
    exec(what, names)
    return held(names["catalogue"]), answered(names["catalogue"], tokenizer)


def answered(catalogue: object, tokenizer: Tokenizer) -> object:
    return answers([*catalogue.select(["papers"], None).segments], tokenizer, PROBE)  # type: ignore[attr-defined]
