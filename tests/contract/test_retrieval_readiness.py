"""What /readyz says while datastores change under a service, and how soon the service stops when it is told to."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from services.retrieval.app import create_app
from services.retrieval.build import build_all
from services.retrieval.datastore.generation import changing
from services.retrieval.datastore.manifest import NAME
from services.retrieval.leann.codebook import FILE as CODEBOOK
from services.retrieval.settings import RetrievalSettings
from tests.contract.gateway_support import closed_port
from tests.retrieval_support import owner, write_source
from tests.tracing_support import serving

OWNERS = [owner("public", public=True), owner("papers")]
FEW_SECONDS = 10
SIZE = 200 << 30


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CANDOR_RETRIEVAL_ENCODER", "wordllama")
    for each in OWNERS:
        write_source(tmp_path, each.id, ["The heron stands in shallow water."])
    build_all(tmp_path, OWNERS, lambda _: None)
    return tmp_path


@pytest.fixture
def client(home: Path) -> Iterator[httpx.Client]:
    with serving(create_app(RetrievalSettings(directory=home / "retrieval"))) as client:
        yield client


def warnings(client: httpx.Client) -> list[str]:
    answer = client.get("/readyz")
    assert answer.status_code == 200
    said: list[str] = answer.json()["warnings"]
    return said


def test_readiness_says_what_is_true_now(home: Path, client: httpx.Client) -> None:
    assert warnings(client) == []
    with changing(home / "retrieval" / "main"):
        (home / "retrieval" / "main" / CODEBOOK).unlink()
    assert warnings(client)[0].startswith("main: there is no codebook")
    build_all(home, OWNERS, lambda _: None)
    assert warnings(client) == []


def test_a_service_that_is_told_to_stop_does_not_read_its_files_to_their_ends_first(home: Path) -> None:
    segment = home / "retrieval" / "main" / "papers" / "source"
    manifest = json.loads((segment / NAME).read_text())
    # it has no bytes on disk, and takes minutes to read
    with (segment / "large").open("wb") as file:
        file.truncate(SIZE)
    pieces = hashlib.sha256(bytes(64 * 4096)).hexdigest()
    manifest["files"]["large"] = {"bytes": SIZE, "sha256": "", "sample": pieces}
    (segment / NAME).write_text(json.dumps(manifest))
    address = closed_port()
    command = [sys.executable, "-m", "uvicorn", "--factory", "services.retrieval.app:create_app"]
    process = subprocess.Popen(
        [*command, "--port", address.rpartition(":")[2]],
        env={**os.environ, "CANDOR_RETRIEVAL_DIRECTORY": str(home / "retrieval")},
    )
    try:
        until_ready(address)
        process.send_signal(signal.SIGTERM)
        assert process.wait(FEW_SECONDS) is not None
    finally:
        process.kill()
        process.wait()


def until_ready(address: str) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until:
        try:
            if httpx.get(f"{address}/readyz").json()["ready"]:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    pytest.fail("the service did not become ready")
