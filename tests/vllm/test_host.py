"""candor_vllm.host: its protocol, on a real engine."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.vllm.support import ENDLESS, Client, until_under_way

GREEDY = {"do": "generate", "prompt": [5, 6, 7], "allowed": [0, 2], "max_tokens": 5, "temperature": 0}
SCORE = {"do": "score", "tokens": [5, 6, 7], "allowed": [0, 2]}


def test_the_greeting_says_what_is_served(host: Path) -> None:
    with Client(host) as client:
        hello = client.hello
    assert (hello["protocol"], hello["plugin"], hello["sequences"]) == (2, True, 4096)
    assert (hello["architecture"], hello["experts"], hello["active"]) == ("mixtral", 4, 2)
    assert (hello["vocabulary"], hello["max_length"], hello["ends"]) == (320, 640, [2])


def test_tokens_come_with_their_statistics_under_the_mask(host: Path) -> None:
    with Client(host) as client:
        client.send(**GREEDY, id="a", top=3)
        events = [client.read()]
        while events[-1]["finish"] is None:
            events.append(client.read())
    for event in events:
        assert event["allowed"] == [0, 2]
        columns = [event[name] for name in ("tokens", "logprobs", "means", "top", "routing")]
        for token, logprob, mean, top, routing in zip(*columns, strict=True):
            assert top[0] == [token, logprob]
            assert len(top) == 3
            assert mean < logprob
            assert (routing[1], routing[3]) == (0, 0)
            assert sum(routing) == pytest.approx(1, abs=1e-5)
    assert sum(len(event["tokens"]) for event in events) == 5


def test_each_sample_of_a_seed_has_random_numbers_of_its_own(host: Path) -> None:
    request = {**GREEDY, "temperature": 1.5, "n": 3, "max_tokens": 8, "logit_bias": {"2": -100}}
    found = []
    with Client(host) as client:
        for call, seed in (("a", "5"), ("b", "5"), ("c", "6")):
            client.send(**request, id=call, seed=seed)
            found.append(client.samples(call, 3))
    first, again, other = found
    assert first == again != other
    assert len({tuple(tokens) for tokens in first}) == 3


def test_requests_with_other_masks_in_one_batch_change_nothing(host: Path) -> None:
    masks = {"a": [0], "b": [0, 1], "c": [3], "d": [0, 1, 2, 3], "e": [1, 2]}
    with Client(host) as client:
        alone = {}
        for call, mask in masks.items():
            client.send(**{**GREEDY, "allowed": mask}, id=call)
            alone[call] = client.samples(call)
        for call, mask in masks.items():
            client.send(**{**GREEDY, "allowed": mask}, id=call)
        assert client.all_samples(dict.fromkeys(masks, 1)) == alone


def test_a_text_as_long_as_the_model_takes_is_scored_and_a_single_token_too(host: Path) -> None:
    with Client(host) as client:
        longest = client.ask(**{**SCORE, "tokens": [5] * 640}, id="long")
        one = client.ask(**{**SCORE, "tokens": [5], "allowed": [3]}, id="one")
    assert len(longest["logprobs"]) == len(longest["variances"]) == 639
    assert (one["logprobs"], one["routing"]) == ([], [0, 0, 0, 1])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"\n", "truncated"),
        (b"{\n", "truncated"),
        (b"\xff\xfe\n", "malformed"),
        (b"[]\n", "object"),
        (b"[" * 100_000 + b"\n", "object"),
        (b'{"id": "x"}\n', "`do`"),
        (b'{"do": "think", "id": "x"}\n', "think"),
        (b'{"do": "generate", "id": 5}\n', "$.id"),
        (b'{"do": "ping", "pong": 1}\n', "pong"),
    ],
)
def test_a_line_that_is_no_request_is_answered_and_the_connection_goes_on(host: Path, line: bytes, said: str) -> None:
    with Client(host) as client:
        client.raw(line)
        answer = client.read()
        assert (answer["event"], answer["code"]) == ("failed", "invalid")
        assert said in answer["message"]
        assert client.ask(do="ping")["event"] == "pong"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"allowed": [0, 4]}, "expert 4"),
        ({"allowed": []}, "$.allowed"),
        ({"allowed": [-1]}, "$.allowed"),
        ({"allowed": [0, 2.5]}, "$.allowed"),
        ({"allowed": "0,2"}, "$.allowed"),
        ({"prompt": [320]}, "token 320"),
        ({"prompt": []}, "$.prompt"),
        ({"prompt": [5] * 640}, "640"),
        ({"max_tokens": 0}, "$.max_tokens"),
        ({"n": 100_000}, "$.n"),
        ({"temperature": -1}, "$.temperature"),
        ({"top_p": 0}, "$.top_p"),
        ({"top": 21}, "$.top"),
        ({"logit_bias": {"320": 1}}, "token 320"),
        ({"logit_bias": {"5": 1e9}}, "$.logit_bias"),
        ({"experts": [0]}, "experts"),
    ],
)
def test_what_the_model_cannot_do_is_refused_before_it_reaches_the_engine(
    host: Path, change: dict[str, Any], said: str
) -> None:
    with Client(host) as client:
        answer = client.ask(**{**GREEDY, **change}, id="x")
        assert (answer["event"], answer["id"], answer["code"]) == ("failed", "x", "invalid")
        assert said in answer["message"]
        client.send(**GREEDY, id="y")
        assert client.samples("y")


def test_an_id_names_one_request_at_a_time(host: Path) -> None:
    with Client(host) as client, Client(host) as other:
        client.send(**ENDLESS, id="x")
        assert client.read()["event"] == "tokens"
        client.send(**GREEDY, id="x")
        while (answer := client.read())["event"] == "tokens":
            pass
        assert "under way" in answer["message"]
        # but each connection has ids of its own
        other.send(**GREEDY, id="x")
        assert other.samples("x")
    until_under_way(host, 0)


def test_a_cancelled_request_or_sample_stops_and_an_unknown_one_is_nothing(host: Path) -> None:
    with Client(host) as client:
        client.send(do="cancel", id="nobody")
        client.send(**ENDLESS, id="x", n=3)
        until_under_way(host, 3)
        client.send(do="cancel", id="x", choice=1)
        until_under_way(host, 2)
        client.send(do="cancel", id="x", choice=7)
        client.send(do="cancel", id="x")
        until_under_way(host, 0)


def test_a_connection_that_closes_takes_its_requests_along_and_no_others(host: Path) -> None:
    with Client(host) as stays, Client(host) as leaves:
        stays.send(**ENDLESS, id="a")
        leaves.send(**ENDLESS, id="a", n=2)
        leaves.send(**{**SCORE, "tokens": [5] * 600}, id="b")
        until_under_way(host, 4)
        leaves.raw(b'{"do": "gener')
        leaves.close()
        until_under_way(host, 1)
        assert stays.read()["event"] == "tokens"
    until_under_way(host, 0)


def test_a_client_that_does_not_read_holds_up_nobody(host: Path) -> None:
    with Client(host) as deaf, Client(host) as other:
        for call in range(50):
            deaf.send(**{**SCORE, "tokens": [5] * 300}, id=str(call), top=20)
        other.send(**GREEDY, id="x")
        assert other.samples("x")
    until_under_way(host, 0)


def test_a_line_too_long_ends_its_connection_and_no_other(host: Path) -> None:
    with Client(host) as other:
        with Client(host) as client:
            try:
                client.raw(b" " * (20 << 20))
            except (BrokenPipeError, ConnectionResetError):
                pass
            else:
                assert "longer" in client.read()["message"]
                assert client.read() == {}
        assert other.ask(do="ping")["event"] == "pong"


def refusal(python: Path, arguments: list[str], **environment: str) -> str:
    """What a host that does not start says."""
    done = subprocess.run(
        [str(python), "-m", "candor_vllm.host", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode != 0
    return done.stdout + done.stderr


def test_it_does_not_start_without_the_plugin(vllm_python: Path, vllm_checkpoint: Path, tmp_path: Path) -> None:
    listen = f"unix:{tmp_path / 'socket'}"
    said = refusal(vllm_python, ["--model", str(vllm_checkpoint), "--listen", listen], VLLM_PLUGINS="")
    assert "NotActive" in said
    assert "plugin" in said.lower()


def test_it_does_not_start_on_a_model_without_experts(vllm_python: Path, tmp_path: Path) -> None:
    config = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "max_position_embeddings": 64}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert "no experts" in refusal(vllm_python, ["--model", str(tmp_path), "--listen", "unix:/nowhere"])


def test_it_does_not_start_on_an_address_of_another_form(vllm_python: Path, tmp_path: Path) -> None:
    assert "neither unix:PATH nor tcp:HOST:PORT" in refusal(
        vllm_python, ["--model", str(tmp_path), "--listen", "http://127.0.0.1"]
    )
