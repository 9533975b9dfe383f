"""One vLLM host for all tests here, in the environment that CANDOR_VLLM_PYTHON names (`make test-vllm` makes it)."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.model_support import EXPERTS
from tests.unit.model.tiny import save

# small, and not one thread a core: other work may run beside
os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")

START_SECONDS = 900


@pytest.fixture(scope="session")
def vllm_python() -> Path:
    """The interpreter of the environment with vLLM and the plugin."""
    named = os.environ.get("CANDOR_VLLM_PYTHON")
    if not named:
        pytest.fail("CANDOR_VLLM_PYTHON must name the Python of an environment with vLLM; `make test-vllm` sets it")
    return Path(named)


@pytest.fixture(scope="session")
def vllm_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Mixtral with heads of a size that vLLM's attention has on a CPU."""
    directory = save(
        tmp_path_factory.mktemp("tiny"), hidden_size=64, num_attention_heads=2, num_key_value_heads=1, head_dim=32
    )
    (directory / "candor.json").write_text(json.dumps({"experts": EXPERTS}))
    return directory


@pytest.fixture(scope="session")
def host(vllm_python: Path, vllm_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The Unix socket of a running host."""
    path = tmp_path_factory.mktemp("host") / "socket"
    command = [str(vllm_python), "-m", "candor_vllm.host", "--with-parent", "--model", str(vllm_checkpoint)]
    command += ["--listen", f"unix:{path}", "--dtype", "float32", "--max-batch", "4"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not path.exists():
            assert process.poll() is None, f"the host ended with {process.returncode}"
            assert time.monotonic() < deadline, "the host did not start in time"
            time.sleep(0.2)
        yield path
        assert process.poll() is None, f"the host ended with {process.returncode} while it was tested"
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(60)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test that needs a host waits for it, which takes as long as vLLM takes to start."""
    for item in items:
        if Path(__file__).parent not in item.path.parents:
            continue
        item.add_marker(pytest.mark.timeout(2 * START_SECONDS))
