"""Changes that SIGKILL ends at every write: the corpus is as before or as after, and the change can be made again."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from services.tracing.tokenizer import Tokenizer
from tests.tracing_support import train_tokenizer
from tests.unit.tracing.live import answers, documents, empty, held, opened

DRIVER = """
import os, signal, sys
from pathlib import Path
from services.tracing.tokenizer import Tokenizer
from tests.unit.tracing.live import documents, opened
from tests.unit.tracing.test_killed import build

tokenizer = Tokenizer(Path(sys.argv[2]))

def run(root, point):
    catalogue, writer = opened(root, tokenizer)
    done = 0
    def hook(event, arguments):
        nonlocal done
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if writes or event in ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate"):
            done += 1
            if done == point:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)
    exec(sys.argv[1])
    return done

first, *roots = map(Path, sys.argv[3:])
reader, writer = os.pipe()
if not os.fork():
    os.write(writer, str(run(first, 0)).encode())
    os._exit(0)
steps = int(os.read(reader, 14))
for number, root in enumerate(roots):
    if not os.fork():
        run(root, 1 + number * steps // len(roots))
        os._exit(0)
    os.wait()
print(steps)
"""
BUILT = {"a": "the heron waits", "b": "for fish", "c": "at dawn"}
PROBE = "the heron waits for fish at dawn and the crane sleeps"


def build(root: Path, tokenizer: Tokenizer, *, restore: bool = False) -> None:
    """As `candor data build` does for this corpus, of files that have one document more."""
    from services.tracing.index.build import build_corpus
    from tests.tracing_support import owner

    file = root / "texts.jsonl"
    build_corpus(root / "papers", owner("papers", public=True), [file], tokenizer, lambda _: None, restore=restore)


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
    lines = [f'{{"id": "{identity}", "text": "{text}"}}\n' for identity, text in {**BUILT, "d": "the elk"}.items()]
    (root / "texts.jsonl").write_text("".join(lines))
    catalogue, writer = opened(root, tokenizer)
    for number in range(8):
        writer.add("papers", documents({"b": f"the crane {number}", f"n{number}": "sleeps"}, tokenizer))
    writer.delete("papers", "c")
    before = held(catalogue), answered(catalogue, tokenizer)
    done = Path(shutil.copytree(root, tmp_path / "done"))
    after = make(what, done, tokenizer)
    places = [Path(shutil.copytree(root, tmp_path / str(number))) for number in range(points + 1)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", DRIVER, what, str(vocabulary), *map(str, places)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert int(ran.stdout) >= points, "there are fewer writes than places"
    seen = []
    for place in places[1:]:
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
    catalogue, writer = opened(root, tokenizer)
    exec(what, {"documents": documents, "build": build, "root": root, "writer": writer, "tokenizer": tokenizer})
    return held(catalogue), answered(catalogue, tokenizer)


def answered(catalogue: object, tokenizer: Tokenizer) -> object:
    return answers([*catalogue.select(["papers"], None).segments], tokenizer, PROBE)  # type: ignore[attr-defined]
