"""Fixtures of the whole suite: the pulled data, and the real stack running on it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from gateway.embedded import RunningStack
from gateway.embedded import stack as running_stack
from shared.settings import candor_home as configured_home

# Two OpenMP pools on two busy cores fight each other: see docs/operations.md.
os.environ.setdefault("OMP_NUM_THREADS", "1")


# on a machine shared with other work the time of one example says nothing
settings.register_profile("candor", deadline=None)
settings.load_profile("candor")


@pytest.fixture(scope="session")
def candor_home() -> Path:
    """The data folder with everything that `make test` pulled and built before."""
    home = configured_home()
    if not (home / "sources.json").is_file():
        pytest.fail(f"There is no pulled data in {home}. Run `make data` first (make test does).")
    return home


@pytest.fixture(scope="session")
def running(candor_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """A whole embedded stack: five real services on loopback, with databases and logs of its own."""
    with running_stack(candor_home, state=tmp_path_factory.mktemp("stack")) as running:
        yield running


@pytest.fixture(scope="session")
def stack(running: RunningStack) -> str:
    """The address of the stack's gateway."""
    return running.address
