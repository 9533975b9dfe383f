"""VllmEngine: the host it starts, loses and stops; what it refuses; whom it lets go of."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from services.model.engines.base import EngineBusy, EngineFailed, Generation, Sampling, ScoreTask, TooLong
from services.model.engines.vllm.engine import VllmEngine
from services.model.engines.vllm.hosts import RemoteHost
from services.model.settings import ModelSettings
from tests.unit.model.tiny import Outcome, greedy, letters
from tests.vllm.support import serving, until_phase, until_under_way

ENDLESS = Generation((5, 6), frozenset({0}), Sampling(600, temperature=0, logit_bias={2: -100}))


@pytest.fixture
def engine(host: Path, vllm_checkpoint: Path) -> Iterator[VllmEngine]:
    engine = VllmEngine(RemoteHost(f"unix:{host}"), vllm_checkpoint, letters, 3, lambda trouble: None)
    yield engine
    engine.close()
    until_under_way(host, 0)


def test_what_cannot_be_computed_is_refused_before_it_is_sent(engine: VllmEngine, host: Path) -> None:
    for mask in (set[int](), {4}, {0, -1}):
        with pytest.raises(ValueError, match="expert"):
            engine.submit(greedy([5], mask), lambda outcome: None)
        with pytest.raises(ValueError, match="expert"):
            engine.score([ScoreTask((5,), frozenset({0})), ScoreTask((5,), frozenset(mask))])
    with pytest.raises(TooLong):
        engine.submit(greedy([5] * 640, {0}, tokens=1), lambda outcome: None)
    with pytest.raises(TooLong):
        engine.score([ScoreTask((5,) * 641, frozenset({0}))])
    with pytest.raises(ValueError, match="at least one token"):
        engine.score([ScoreTask((), frozenset({0}))])
    until_under_way(host, 0)


def test_a_full_queue_is_refused_and_one_that_empties_takes_more(engine: VllmEngine) -> None:
    cancels: list[Callable[[], None]] = []
    with pytest.raises(EngineBusy):
        cancels.extend(engine.submit(ENDLESS, lambda outcome: None) for _ in range(100))
    assert len(cancels) >= 3
    for cancel in cancels:
        cancel()
    deadline = time.monotonic() + 60
    while True:
        try:
            outcome = Outcome(greedy([5], {0}))
            engine.submit(greedy([5], {0}), outcome)
            break
        except EngineBusy:
            assert time.monotonic() < deadline
    assert outcome.wait().error is None


def test_many_sequences_are_scored_as_each_alone(engine: VllmEngine) -> None:
    tasks = [ScoreTask(tuple(range(3, 5 + place % 40)), frozenset({0, place % 4}), top=2) for place in range(150)]
    together = engine.score(tasks).result(240)
    for place in (0, 77, 149):
        (alone,) = engine.score([tasks[place]]).result(60)
        assert together[place].logprobs == pytest.approx(alone.logprobs, abs=1e-4)
        assert len(alone.logprobs) == len(tasks[place].tokens) - 1
    assert engine.score([]).result(10) == []


def test_scores_that_nobody_waits_for_are_dropped(engine: VllmEngine, host: Path) -> None:
    future = engine.score([ScoreTask((5,) * 600, frozenset({0}))] * 200)
    assert future.cancel()
    until_under_way(host, 0)


def test_a_receiver_that_has_gone_ends_its_request(engine: VllmEngine, host: Path) -> None:
    def gone(outcome: object) -> None:
        raise RuntimeError("Event loop is closed")

    engine.submit(ENDLESS, gone)
    outcome = Outcome(greedy([5], {0}))
    engine.submit(greedy([5], {0}), outcome)
    assert outcome.wait().error is None
    until_under_way(host, 0)


def test_a_stop_string_ends_the_sample_at_the_host_too(engine: VllmEngine, host: Path) -> None:
    sampling = Sampling(600, temperature=0, logit_bias={2: -100, 7: 100}, stops=(letters([7]) * 3,))
    outcome = Outcome(request := Generation((5, 6), frozenset({0}), sampling, n=2))
    engine.submit(request, outcome)
    outcome.wait()
    assert [outcome.finish(choice).reason for choice in (0, 1)] == ["stop", "stop"]
    until_under_way(host, 0)


def test_a_host_of_another_checkpoint_is_refused(host: Path, vllm_checkpoint: Path, tmp_path: Path) -> None:
    other = shutil.copytree(vllm_checkpoint, tmp_path / "other")
    card = json.loads((other / "candor.json").read_text())
    card["experts"][1], card["experts"][2] = card["experts"][2], card["experts"][1]
    (other / "candor.json").write_text(json.dumps(card))
    with pytest.raises(EngineFailed, match="another checkpoint"):
        VllmEngine(RemoteHost(f"unix:{host}"), other, letters, 3, lambda trouble: None)


def test_requests_that_run_when_the_engine_closes_fail(host: Path, vllm_checkpoint: Path) -> None:
    engine = VllmEngine(RemoteHost(f"unix:{host}"), vllm_checkpoint, letters, 3, lambda trouble: None)
    outcome = Outcome(ENDLESS)
    engine.submit(ENDLESS, outcome)
    scores = engine.score([ScoreTask((5,) * 600, frozenset({0}))] * 100)
    assert outcome.begun.wait(60)
    engine.close()
    assert "stopping" in str(outcome.wait().error)
    with pytest.raises(EngineFailed, match="stopping"):
        scores.result(10)
    until_under_way(host, 0)


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_goes_away_frees_its_place(host: Path, vllm_checkpoint: Path, stream: bool) -> None:
    endless = {
        "model": "candor",
        "messages": [{"role": "user", "content": "the owner"}],
        "n": 3,
        "max_tokens": 600,
        "stream": stream,
        "logit_bias": {"2": -100},
    }
    settings = ModelSettings(directory=vllm_checkpoint, engine="vllm", vllm_address=f"unix:{host}")

    async def leave(address: httpx.URL) -> None:
        async with httpx.AsyncClient(base_url=address, timeout=60) as client:
            abandoned = asyncio.create_task(client.post("/v1/chat/completions", json=endless))
            await asyncio.to_thread(until_under_way, host, 3)
            abandoned.cancel()
            await asyncio.to_thread(until_under_way, host, 0)

    with serving(settings) as client:
        asyncio.run(leave(client.base_url))


def test_a_host_of_the_service_s_own_is_started_again_when_it_dies_and_stops_with_the_service(
    vllm_python: Path, vllm_checkpoint: Path
) -> None:
    settings = ModelSettings(
        directory=vllm_checkpoint,
        dtype="float32",
        engine="vllm",
        vllm_python=vllm_python,
        vllm_arguments={"seed": 7},
        max_batch=4,
        threads=1,
    )
    text = {"model": "candor", "prompt": "the owner", "temperature": 0, "max_tokens": 4}
    with serving(settings) as client:
        before = client.post("/v1/completions", json=text).json()["choices"]
        (leader,) = own_hosts()
        with client.stream(
            "POST", "/v1/completions", json=text | {"max_tokens": 600, "logit_bias": {"2": -100}, "stream": True}
        ) as running:
            lines = running.iter_lines()
            next(lines)
            os.kill(leader, signal.SIGKILL)
            assert any("signal 9" in line for line in lines)
        assert "signal 9" in until_phase(client, "the vLLM host")
        refused = client.post("/v1/completions", json=text)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "not_ready")
        assert int(refused.headers["retry-after"]) >= 1
        until_phase(client, "ready")
        assert client.post("/v1/completions", json=text).json()["choices"] == before
        (leader,) = own_hosts()
    assert not session_of(leader)


def own_hosts() -> list[int]:
    """The hosts that this process started."""
    return [
        pid
        for pid in processes()
        if parent(pid) == os.getpid() and b"--with-parent" in command(pid) and b"candor-vllm-" in command(pid)
    ]


def session_of(leader: int) -> list[int]:
    """The processes of a session that still run; what is dead and waits to be collected (Z) does not."""
    return [pid for pid in processes() if int(stat(pid)[3]) == leader and stat(pid)[0] != "Z"]


def processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]


def parent(pid: int) -> int:
    return int(stat(pid)[1])


def stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on: state, parent, group, session."""
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ["X", "0", "0", "0"]


def command(pid: int) -> bytes:
    try:
        return (Path("/proc") / str(pid) / "cmdline").read_bytes()
    except OSError:
        return b""
