"""The engine on vLLM against a host that misbehaves: what one request costs the others, and that nothing hangs."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from services.model.engines.base import (
    EngineBusy,
    EngineFailed,
    ExpertGone,
    Notice,
    RouteTask,
    Routing,
    ScoreTask,
    Unsupported,
)
from services.model.engines.vllm import hosts, link
from services.model.engines.vllm.engine import VllmEngine
from services.model.engines.vllm.hosts import RemoteHost
from services.model.serving.streams import failure
from shared.http.errors import Overloaded
from tests.unit.model.scripted_host import Answer, Peer, ScriptedHost
from tests.unit.model.tiny import Outcome, greedy, letters

BAD = greedy([9], {0})
GOOD = greedy([5], {0})


def answering(bad: Answer) -> Answer:
    """Answers a generation from token 9 and every score as `bad` does, and other generations as they should be."""

    def answer(peer: Peer, request: dict[str, Any]) -> None:
        if request["do"] == "score" or request.get("prompt") == [9]:
            bad(peer, request)
        elif request["do"] == "generate":
            peer.tokens(request)

    return answer


def silence(peer: Peer, request: dict[str, Any]) -> None:
    """Never answer."""


@contextmanager
def serving(host: ScriptedHost, queue: int = 100, notice: Notice = lambda trouble: None) -> Iterator[VllmEngine]:
    with host:
        engine = VllmEngine(RemoteHost(host.address), host.directory, letters, queue, notice)
        try:
            yield engine
        finally:
            engine.close()


def submitted(engine: VllmEngine, request: Any) -> Outcome:
    outcome = Outcome(request)
    engine.submit(request, outcome)
    return outcome


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(
    "change",
    [
        {"logprobs": [None]},
        {"means": [float("nan")]},
        {"top": [[[5, float("-inf")]]]},
        {"tokens": [2.5]},
        {"event": "thoughts"},
        {"choice": "first"},
        {"allowed": [0, 1]},
        {"routing": [[0.5, 0.5, 0, 0]]},
        {"logprobs": []},
    ],
)
def test_an_answer_that_makes_no_sense_fails_its_request_and_no_other(tmp_path: Path, change: dict[str, Any]) -> None:
    host = ScriptedHost(tmp_path, answering(lambda peer, request: peer.tokens(request, finish=None, **change)))
    with serving(host) as engine:
        failed, waits = submitted(engine, BAD), submitted(engine, GOOD)
        assert "vLLM" in str(failed.wait().error)
        assert waits.wait().error is None
        assert submitted(engine, GOOD).wait().error is None
        (peer,) = host.peers
        until(lambda: [request["do"] for request in peer.received].count("cancel") == 1)


def test_scores_of_a_sequence_that_was_never_sent_fail_their_request_and_no_other(tmp_path: Path) -> None:
    def other(peer: Peer, request: dict[str, Any]) -> None:
        event = {"event": "scored", "id": request["id"] + "99", "allowed": [0], "routing": [1, 0, 0, 0], "top": []}
        peer.send(**event, logprobs=[], means=[], variances=[])

    with serving(ScriptedHost(tmp_path, answering(other))) as engine:
        with pytest.raises(EngineFailed):
            engine.score([ScoreTask((5,), frozenset({0}))]).result(60)
        assert submitted(engine, GOOD).wait().error is None


def test_what_the_host_does_not_tell_of_a_text_is_refused_before_it_is_asked(tmp_path: Path) -> None:
    with serving(ScriptedHost(tmp_path, answering(lambda peer, request: None))) as engine:
        for task in (ScoreTask((5,), frozenset({0}), own=True), ScoreTask((5,), frozenset({0}), gradient=True)):
            with pytest.raises(Unsupported, match="CANDOR_MODEL_ENGINE=transformers"):
                engine.score([task])


ROUTED: dict[str, Any] = {
    "event": "routed",
    "allowed": [0, 2],
    "probabilities": [[[0.75, 0, 0.25, 0]] * 3, [[0, 0, 1, 0]] * 3],
    "chosen": [[[0, 2]] * 3, [[2, 0]] * 3],
    "predicted": [7, 8],
}


def routing(tmp_path: Path, change: dict[str, Any], remove: int | None = None) -> Routing:
    """Of two tokens in three layers."""

    def answer(peer: Peer, request: dict[str, Any]) -> None:
        peer.send(**ROUTED | {"id": request["id"]} | change)

    with serving(ScriptedHost(tmp_path, answer)) as engine:
        if remove is not None:
            engine.remove(remove, patience=0).result(60)
        (found,) = engine.route([RouteTask((5, 6), frozenset({0, 2}), predict=True)]).result(60)
        return found


def test_routing_has_a_column_for_each_expert_that_is_left(tmp_path: Path) -> None:
    found = routing(tmp_path, {}, remove=1)
    assert found.experts == (0, 2, 3)
    assert found.probabilities.tolist() == [[[0.75, 0.25, 0]] * 3, [[0, 1, 0]] * 3]
    assert found.chosen.tolist() == ROUTED["chosen"]
    assert found.predicted is not None
    assert found.predicted.tolist() == [7, 8]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"allowed": [0, 1, 2]}, "applied"),
        ({"probabilities": [[[0.75, 0.01, 0.24, 0]] * 3] * 2}, "expert 1 took part"),
        ({"chosen": [[[0, 3]] * 3] * 2}, "expert 3 was chosen"),
        ({"chosen": [[[0]] * 3] * 2}, "every token"),
        ({"chosen": [[[0, 2]] * 2, [[0]] * 3]}, "failed"),
        ({"probabilities": ROUTED["probabilities"][:1], "chosen": ROUTED["chosen"][:1]}, "every token"),
        ({"predicted": None}, "predict"),
        ({"predicted": [7]}, "predict"),
    ],
)
def test_routing_that_is_not_what_was_asked_for_is_refused(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    with pytest.raises(EngineFailed, match=said):
        routing(tmp_path, change)


def test_a_host_whose_steps_are_compiled_cannot_route(tmp_path: Path) -> None:
    host = ScriptedHost(tmp_path, silence)
    host.hello["routing"] = False
    with serving(host) as engine, pytest.raises(Unsupported, match="enforce_eager"):
        engine.route([RouteTask((5,), frozenset({0}))])


def test_a_receiver_that_cannot_take_what_it_asked_for_harms_no_other(tmp_path: Path) -> None:
    def broken(outcome: object) -> None:
        raise KeyError("stream")

    with serving(ScriptedHost(tmp_path, answering(silence))) as engine:
        engine.submit(GOOD, broken)
        assert submitted(engine, GOOD).wait().error is None
        # nor does it hold up the expert that it uses
        engine.submit(BAD, broken)
        uses = submitted(engine, BAD)
        engine.remove(0, patience=0).result(60)
        assert isinstance(uses.wait().error, ExpertGone)


def test_a_request_that_cannot_be_written_fails_and_no_other(tmp_path: Path) -> None:
    with serving(ScriptedHost(tmp_path, answering(silence))) as engine:
        # JSON has no numpy integers
        failed = submitted(engine, greedy([cast(int, np.int64(9))], {0}))
        assert "TypeError" in str(failed.wait().error)
        assert submitted(engine, GOOD).wait().error is None


def test_an_event_without_an_id_that_makes_no_sense_ends_the_connection(tmp_path: Path) -> None:
    host = ScriptedHost(tmp_path, answering(lambda peer, request: peer.send(event="thoughts")))
    with serving(host) as engine:
        assert "no event" in str(submitted(engine, BAD).wait().error)
        until(lambda: len(host.peers) == 2 and not engine._link.broken)
        assert submitted(engine, GOOD).wait().error is None


def test_an_answer_without_tokens_needs_no_mask(tmp_path: Path) -> None:
    def late(peer: Peer, request: dict[str, Any]) -> None:
        peer.tokens(request, allowed=[], tokens=[], logprobs=[], means=[], top=[], routing=[], finish=None)
        peer.tokens(request)

    with serving(ScriptedHost(tmp_path, answering(late))) as engine:
        assert submitted(engine, BAD).wait().error is None


def test_an_expert_leaves_while_other_requests_come(tmp_path: Path) -> None:
    interval = sys.getswitchinterval()
    ended = threading.Event()
    with serving(ScriptedHost(tmp_path, silence, 10**6), queue=10**6) as engine:
        for _ in range(1000):
            engine.submit(greedy([9], {0, 1}), lambda outcome: None)

        def come() -> None:
            while not ended.is_set():
                engine.submit(BAD, lambda outcome: None)()

        others = threading.Thread(target=come)
        try:
            sys.setswitchinterval(1e-6)
            others.start()
            engine.remove(1, patience=1).result(30)
        finally:
            sys.setswitchinterval(interval)
            ended.set()
            others.join()


def test_who_waits_for_an_expert_to_leave_cannot_call_it_back(tmp_path: Path) -> None:
    with serving(ScriptedHost(tmp_path, silence)) as engine:
        submitted(engine, BAD)
        removal = engine.remove(0, patience=1000)
        assert not removal.cancel()
    assert removal.done()


def test_after_the_end_nothing_is_queued_that_would_never_be_answered(tmp_path: Path) -> None:
    with serving(ScriptedHost(tmp_path, silence)) as engine:
        cancel = engine.submit(BAD, Outcome(BAD))
    cancel()
    for attempt in (
        lambda: engine.submit(GOOD, Outcome(GOOD)),
        lambda: engine.score([ScoreTask((5,), frozenset({0}))]),
        lambda: engine.remove(1, patience=0),
    ):
        with pytest.raises(EngineFailed, match="stopping"):
            attempt()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_fault_of_the_link_itself_is_told_and_leaves_nobody_waiting(tmp_path: Path) -> None:
    told: list[str | None] = []

    def notice(trouble: str | None) -> None:
        told.append(trouble)
        if trouble and "connecting again" in trouble:
            raise LookupError("a fault of the service's own")

    host = ScriptedHost(tmp_path, answering(lambda peer, request: peer.send(event="thoughts")))
    with serving(host, notice=notice) as engine:
        assert submitted(engine, BAD).wait().error is not None
        until(lambda: not engine._link._thread.is_alive())
        assert told[-1] is not None
        assert "failed" in told[-1]
        assert "LookupError" in told[-1]
        with pytest.raises(EngineFailed, match="LookupError"):
            engine.submit(GOOD, Outcome(GOOD))


def test_a_name_that_no_host_can_have_is_told(tmp_path: Path) -> None:
    with ScriptedHost(tmp_path, silence) as host, pytest.raises(EngineFailed, match="UnicodeError"):
        VllmEngine(RemoteHost(f"tcp:{'a' * 70}:80"), host.directory, letters, 3, lambda trouble: None)


def test_a_host_that_says_nothing_any_more_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "PING_SECONDS", 0.1)
    host = ScriptedHost(tmp_path, answering(silence))
    told: list[str | None] = []
    with serving(host, notice=told.append) as engine:
        waits = submitted(engine, BAD)
        until(lambda: host.peers[0].received)
        host.hung = True
        assert "has not answered" in str(waits.wait().error)
        until(lambda: len(host.peers) >= 2)
        host.hung = False
        until(lambda: told[-1] is None)
        assert submitted(engine, GOOD).wait().error is None


def test_a_host_that_is_busy_but_answers_pings_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "PING_SECONDS", 0.02)

    def slowly(peer: Peer, request: dict[str, Any]) -> None:
        if request["do"] == "generate":
            threading.Timer(2, peer.tokens, [request]).start()

    host = ScriptedHost(tmp_path, answering(slowly))
    with serving(host) as engine:
        assert submitted(engine, BAD).wait().error is None
        assert len(host.peers) == 1


def test_more_sequences_than_the_host_takes_are_refused_before_they_are_sent(tmp_path: Path) -> None:
    host = ScriptedHost(tmp_path, answering(silence), sequences=10)
    with serving(host) as engine:
        cancel = engine.submit(many := greedy([9], {0}, n=6), Outcome(many))
        with pytest.raises(EngineBusy, match="10"):
            engine.submit(many, Outcome(many))
        with pytest.raises(EngineBusy, match="10"):
            engine.score([ScoreTask((5,), frozenset({0}))] * 5)
        assert submitted(engine, GOOD).wait().error is None
        cancel()
        until(lambda: not engine._calls)
        engine.submit(many, Outcome(many))


def test_a_host_that_others_keep_busy_is_a_429(tmp_path: Path) -> None:
    def refuse(peer: Peer, request: dict[str, Any]) -> None:
        peer.send(event="failed", id=request["id"], code="busy", message="4096 sequences are under way")

    with serving(ScriptedHost(tmp_path, answering(refuse))) as engine:
        error = submitted(engine, BAD).wait().error
        assert isinstance(error, EngineBusy)
        assert isinstance(failure(error), Overloaded)
        with pytest.raises(EngineBusy):
            engine.score([ScoreTask((5,), frozenset({0}))]).result(60)


def test_a_line_too_long_is_told_as_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts, "MAX_LINE", 1000)
    host = ScriptedHost(tmp_path, answering(lambda peer, request: peer.raw(b" " * 5000)))
    with serving(host) as engine:
        assert "longer than" in str(submitted(engine, BAD).wait().error)
