"""A build on a Ray cluster, by two encoders, is, byte for byte, one that this process does alone."""

import subprocess
import sys
from pathlib import Path

import pytest

from services.retrieval.datastore.build import build
from services.retrieval.encoders.base import Loadable
from tests.retrieval_support import HashingEncoder, SecondEncoder
from tests.unit.retrieval.test_ingest import OWNERS, SMALL, tree, write_all

pytest.importorskip("ray", reason="the extra `ray` is not installed")

# two workers, and a process of its own: what Ray starts ends with it
ON_RAY = """
import sys
from pathlib import Path
import ray
from services.retrieval.datastore.build import build
from shared.cluster import cluster
from services.retrieval.encoders.base import Loadable
from tests.retrieval_support import HashingEncoder, SecondEncoder
from tests.unit.retrieval.test_ingest import OWNERS, SMALL

with cluster("local") as scheduler:
    assert ray.cluster_resources()["CPU"] >= 2
    exact = Loadable(SecondEncoder.card, SecondEncoder)
    build(
        Path(sys.argv[1]),
        OWNERS,
        HashingEncoder.card,
        HashingEncoder,
        print,
        exact=exact,
        sizes=SMALL,
        scheduler=scheduler,
    )
assert not ray.is_initialized()
"""


def on_ray(home: Path) -> list[str]:
    """What a build on two workers tells."""
    done = subprocess.run(
        [sys.executable, "-c", ON_RAY, str(home)],
        check=False,
        capture_output=True,
        text=True,
        timeout=240,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_build_on_two_workers_of_a_cluster_is_byte_for_byte_that_of_one_process(tmp_path: Path) -> None:
    write_all(tmp_path / "here")
    write_all(tmp_path / "there")
    exact = Loadable(SecondEncoder.card, SecondEncoder)
    build(tmp_path / "here", OWNERS, HashingEncoder.card, HashingEncoder, lambda _: None, exact=exact, sizes=SMALL)
    told = on_ray(tmp_path / "there")
    assert tree(tmp_path / "there" / "retrieval") == tree(tmp_path / "here" / "retrieval")
    assert "papers/source: shard 3 of 3 read" in told
    assert "papers/source: 5 of 5 passages embedded" in told
    assert "papers/source: 5 of 5 passages embedded by second" in told
