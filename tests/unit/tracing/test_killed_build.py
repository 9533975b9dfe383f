"""A build by several processes that SIGKILL ends: nothing finished is done again, and no process is left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from services.tracing.index.build import How, build_corpus
from services.tracing.index.corpus import read_manifest
from services.tracing.index.stored import BadSegment
from services.tracing.index.stored import read_manifest as read_segment
from services.tracing.tokenizer import Tokenizer
from tests.tracing_support import manual, owner, train_tokenizer, write_texts
from tests.unit.tracing.test_index import fingerprint

BLOCK = 1500
BUILD = """
import sys
from pathlib import Path
from services.tracing.index.build import How, build_corpus
from services.tracing.tokenizer import Tokenizer
from shared.schedule import Processes
from tests.tracing_support import owner

if __name__ == "__main__":
    home = Path(sys.argv[1])
    how = How(Processes(2), block_bytes=1500)
    build_corpus(
        home / "tracing" / "papers", owner("papers"), [home / "papers.jsonl"], Tokenizer(home / "tokenizer.json"),
        lambda line: print(line, flush=True), how=how,
    )
"""


def children(parent: int) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def finished(folder: Path, tokenizer: Tokenizer) -> dict[str, int]:
    found = {}
    for block in sorted(folder.glob("blocks/*")):
        try:
            read_segment(block, "papers", tokenizer)
        except BadSegment:
            continue
        found[block.name] = (block / "manifest.json").stat().st_mtime_ns
    return found


def test_a_build_killed_at_its_blocks_goes_on_with_the_others_and_leaves_no_process(tmp_path: Path) -> None:
    train_tokenizer(tmp_path / "tokenizer.json")
    texts = write_texts(tmp_path / "papers.jsonl", "papers", manual())
    tokenizer, folder = Tokenizer(tmp_path / "tokenizer.json"), tmp_path / "tracing" / "papers"
    (tmp_path / "run.py").write_text(BUILD)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(tmp_path / "run.py"), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as run:
        assert run.stdout is not None
        for line in run.stdout:
            if "documents sorted" in line:
                break
        workers = children(run.pid)
        run.send_signal(signal.SIGKILL)
        run.wait()
    assert len(workers) >= 2
    until = time.monotonic() + 20
    while any(runs(pid) for pid in workers) and time.monotonic() < until:
        time.sleep(0.05)
    left = [pid for pid in workers if runs(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left
    assert read_manifest(folder) is None
    before = finished(folder, tokenizer)
    assert before

    class Seen:
        def __init__(self) -> None:
            self.lines: list[str] = []
            self.kept: dict[str, int] = {}

        def __call__(self, line: str) -> None:
            self.lines.append(line)
            if "merging" in line:
                self.kept = finished(folder, tokenizer)

    seen = Seen()
    build_corpus(folder, owner("papers"), [texts], tokenizer, seen, how=How(block_bytes=BLOCK))
    assert {name: seen.kept[name] for name in before} == before
    assert any(f"{len(before)} of {len(seen.kept)} blocks were finished before" in line for line in seen.lines)
    other = tmp_path / "other" / "papers"
    build_corpus(other, owner("papers"), [texts], tokenizer, lambda _: None)
    assert fingerprint(folder) == fingerprint(other)
