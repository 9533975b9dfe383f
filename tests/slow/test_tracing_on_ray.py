"""A corpus built on a Ray cluster is, byte for byte, one that this process builds alone."""

import subprocess
import sys
from pathlib import Path

import pytest

from services.tracing.index.build import How, build_corpus
from services.tracing.tokenizer import Tokenizer
from tests.tracing_support import manual, owner, train_tokenizer, write_texts
from tests.unit.tracing.test_index import fingerprint

pytest.importorskip("ray", reason="the extra `ray` is not installed")

# two workers, and a process of its own: what Ray starts ends with it
ON_RAY = """
import sys
from pathlib import Path
import ray
from services.tracing.index.build import How, build_corpus
from services.tracing.tokenizer import Tokenizer
from shared.cluster import cluster
from tests.tracing_support import owner

home = Path(sys.argv[1])
with cluster("local") as scheduler:
    assert ray.cluster_resources()["CPU"] >= 2
    how = How(scheduler, block_bytes=6000)
    tokenizer = Tokenizer(home / "tokenizer.json")
    build_corpus(home / "ray" / "papers", owner("papers"), [home / "papers.jsonl"], tokenizer, print, how=how)
assert not ray.is_initialized()
"""


def test_a_cluster_builds_the_same_corpus(tmp_path: Path) -> None:
    train_tokenizer(tmp_path / "tokenizer.json")
    texts = write_texts(tmp_path / "papers.jsonl", "papers", manual())
    run = subprocess.run(
        [sys.executable, "-c", ON_RAY, str(tmp_path)], check=True, capture_output=True, text=True, timeout=300
    )
    assert "merging" in run.stdout
    here = tmp_path / "here" / "papers"
    tokenizer = Tokenizer(tmp_path / "tokenizer.json")
    build_corpus(here, owner("papers"), [texts], tokenizer, lambda _: None, how=How(block_bytes=6000))
    assert fingerprint(tmp_path / "ray" / "papers") == fingerprint(here)
