"""`candor eval run retrieval --beir DIR` as a user runs it, over a small folder, with the pulled encoder."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from services.evaluation.metrics.ranking import ndcg

COLOURS, ANIMALS = ("blue", "green", "crimson", "amber", "violet"), ("whale", "ant", "owl", "fox", "heron", "mole")
PAIRS = [(colour, animal) for colour in COLOURS for animal in ANIMALS]


@pytest.fixture
def home(tmp_path: Path, candor_home: Path) -> Path:
    here = tmp_path / "home"
    here.mkdir()
    (here / "models").symlink_to(candor_home / "models")
    return here


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A document for each pair of colour and animal, of two passages: what is asked for stands in the second."""
    folder = tmp_path / "small"
    (folder / "qrels").mkdir(parents=True)
    filler = "Nothing is said in these words about what anybody would ask for. " * 22
    corpus = [
        {"_id": f"{colour}/{animal}", "title": "", "text": f"{filler}The {colour} {animal} sleeps."}
        for colour, animal in PAIRS
    ]
    queries = [{"_id": f"q{number}", "text": f"{colour} {animal}"} for number, (colour, animal) in enumerate(PAIRS)]
    for name, rows in (("corpus", corpus), ("queries", queries)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    qrels = "".join(f"q{number}\t{colour}/{animal}\t1\n" for number, (colour, animal) in enumerate(PAIRS))
    (folder / "qrels" / "test.tsv").write_text(f"query-id\tcorpus-id\tscore\n{qrels}")
    return folder


def command(home: Path, folder: Path, *more: str, **settings: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "CANDOR_HOME": str(home), **settings}
    line = [sys.executable, "-m", "gateway.cli", "eval", "run", "retrieval", "--beir", str(folder), *more]
    return subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def report(process: subprocess.Popen[str]) -> tuple[dict[str, Any], str]:
    out, log = process.communicate(timeout=300)
    assert process.returncode == 0, log
    found: dict[str, Any] = json.loads(out)
    return found, log


def test_a_killed_command_is_carried_on_by_the_same_one_and_scores_by_the_best_passage(home: Path, small: Path) -> None:
    more = ["--index", "bm25,compactds", "--json"]
    killed = command(home, small, *more, CANDOR_EVALUATION_CONCURRENCY="1")
    try:
        _until_scored(home, 5)
    finally:
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
    before = _kept(home)
    found, log = report(command(home, small, *more))
    after = _kept(home)
    assert "Carrying on" in log
    assert 5 <= len(before) < 60
    assert len(after) == 60
    assert {item: after[item] for item in before} == before
    (run,) = {item.split()[0] for item in after}
    assert found["run"]["id"] == run
    assert found["run"]["progress"] == {"done": 60, "total": 60, "failed": 0}
    scores = {cell["setting"]: cell["scores"] for cell in found["cells"]}
    assert scores["bm25"]["ndcg@10"]["mean"] == 1.0
    assert scores["compactds"]["ndcg@10"]["mean"] > 0.5
    for line, (measured, documents) in after.items():
        number = int(line.split()[1].removeprefix("q").split("@")[0])
        gold = "/".join(PAIRS[number])
        assert measured == ndcg(documents, {gold: 1}, 10)
        if line.endswith("@compactds"):  # of both passages of every document: each document once, and all of them
            assert sorted(documents) == sorted("/".join(pair) for pair in PAIRS)


def test_a_broken_folder_is_refused_before_anything_is_built(home: Path, small: Path) -> None:
    (small / "qrels" / "test.tsv").unlink()
    process = command(home, small)
    _, log = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "There is no" in log
    assert "Traceback" not in log
    assert not (home / "beir").exists()


def _until_scored(home: Path, count: int) -> None:
    until = time.monotonic() + 240
    while len(_kept(home)) < count:
        assert time.monotonic() < until
        time.sleep(0.02)


def _kept(home: Path) -> dict[str, tuple[float, list[str]]]:
    """By run and item, nDCG and documents of what has been scored."""
    for database in (home / "beir").glob("*/runs/evaluation.db"):
        with closing(sqlite3.connect(database)) as connection:
            try:
                rows = connection.execute(
                    "SELECT run, id, scores, details FROM evaluation_items WHERE status = 'scored'"
                ).fetchall()
            except sqlite3.OperationalError:
                return {}
        return {
            f"{run} {item}": (json.loads(scores)["ndcg@10"], json.loads(details)["documents"])
            for run, item, scores, details in rows
        }
    return {}
