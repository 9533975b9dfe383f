"""The embedded stack: five processes that start, answer, are revived, and never outlive the one that started them."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from gateway.embedded import SERVICES, PortTaken, RunningStack, StackError, stack


def children(parent: int) -> list[int]:
    """The processes that a process has started and that run."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            fields = dict(line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line)
        except OSError:
            continue
        if int(fields["PPid"]) == parent and not fields["State"].startswith("Z"):
            found.append(int(status.parent.name))
    return found


def gone(processes: list[int], seconds: float) -> bool:
    """Whether all of these processes end within so many seconds."""
    until = time.monotonic() + seconds
    while any(Path(f"/proc/{process}").exists() for process in processes):
        if time.monotonic() > until:
            return False
        time.sleep(0.1)
    return True


@contextmanager
def candor_up(home: Path, port: int = 0) -> Iterator[subprocess.Popen[str]]:
    """`candor up` in a process of its own, with all five children started."""
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway.cli", "up", "--port", str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "CANDOR_HOME": str(home)},
    )
    try:
        until = time.monotonic() + 60
        while len(children(process.pid)) < len(SERVICES) and process.poll() is None and time.monotonic() < until:
            time.sleep(0.1)
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def home(candor_home: Path, tmp_path: Path) -> Path:
    """The pulled and built data, in a folder whose databases and logs are the test's own."""
    for part in ("sources.json", "models", "texts", "questions", "retrieval", "tracing"):
        (tmp_path / part).symlink_to(candor_home / part)
    return tmp_path


def test_every_service_and_the_gateway_are_ready(running: RunningStack) -> None:
    answer = httpx.get(running.address + "/readyz").json()
    assert answer["ready"]
    assert set(answer["services"]) == set(SERVICES) - {"gateway"}
    assert all(httpx.get(url + "/readyz").status_code == 200 for url in running.urls.values())


def test_the_documentation_is_where_it_is_said_to_be(running: RunningStack) -> None:
    assert httpx.get(running.address + "/docs").status_code == 200


def test_services_listen_on_loopback_on_ports_of_their_own(running: RunningStack) -> None:
    assert len(set(running.urls.values())) == len(SERVICES)
    assert all(url.startswith("http://127.0.0.1:") for url in running.urls.values())


def test_databases_and_logs_are_written_where_the_stack_was_told(running: RunningStack) -> None:
    assert running.state != running.home
    assert {file.name for file in (running.state / "logs").iterdir()} >= {f"{service}.log" for service in SERVICES}
    assert (running.state / "gateway.db").stat().st_size > 0
    assert (running.state / "evaluation.db").stat().st_size > 0


def test_a_service_that_was_killed_is_refused_at_once_and_comes_back_at_its_address(running: RunningStack) -> None:
    running.kill("tracing")
    with pytest.raises(httpx.ConnectError):
        httpx.get(running.urls["tracing"] + "/livez")
    deaths = running.revive()
    assert [death.service for death in deaths] == ["tracing"]
    assert "signal 9" in str(deaths[0])
    assert running.wait(120)
    assert httpx.get(running.urls["tracing"] + "/readyz").status_code == 200


def test_a_taken_port_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as rival, pytest.raises(PortTaken, match="--port"):
        RunningStack(tmp_path, port=rival.getsockname()[1])
    assert not list(tmp_path.iterdir())


def test_a_stack_that_cannot_start_says_why_and_leaves_nothing_behind(tmp_path: Path) -> None:
    before = children(os.getpid())
    with pytest.raises(StackError, match=r"The \w+ service .*(?s:.)*\.log"), stack(tmp_path, seconds=120):
        pass
    assert children(os.getpid()) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_told_to_stop_it_ends_cleanly_with_all_its_services(home: Path, number: signal.Signals) -> None:
    with candor_up(home) as up:
        services = children(up.pid)
        assert len(services) == len(SERVICES)
        up.send_signal(number)
        _, said = up.communicate(timeout=20)
        assert up.returncode == 0
        assert "Traceback" not in said
        assert gone(services, 0.5)


def test_killed_outright_it_leaves_no_service_behind(home: Path) -> None:
    with candor_up(home) as up:
        services = children(up.pid)
        assert len(services) == len(SERVICES)
        up.kill()
        up.communicate()
        assert gone(services, 15)


def test_up_refuses_a_port_in_use_and_says_what_to_do(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as rival, candor_up(home, rival.getsockname()[1]) as up:
        _, said = up.communicate(timeout=20)
        assert up.returncode == 1
        assert "is in use" in said
        assert "--port" in said
        assert not (home / "logs").exists()
