"""What the host tells its client of what vLLM reports: the worker's mask, and no number that is none."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from vllm.logprobs import Logprob

from candor_vllm.host.connection import Connection
from candor_vllm.host.model import Model
from candor_vllm.host.wire import Hello
from candor_vllm.statistics import FORBIDDEN, pseudo_tokens

HELLO = Hello(
    architecture="mixtral",
    experts=3,
    active=2,
    vocabulary=320,
    max_length=64,
    ends=[2],
    fingerprint="",
    plugin=True,
    routing=True,
)
GENERATE = {"do": "generate", "id": "a", "prompt": [5], "allowed": [0, 2], "max_tokens": 1}
SCORE = {"do": "score", "id": "a", "tokens": [5, 7], "allowed": [0, 2]}
SHARES = [0.75, FORBIDDEN, 0.25]


def row(mean: float = -9.0, variance: float = 2.0, shares: list[float] = SHARES) -> dict[int, Logprob]:
    """What vLLM reports of token 7."""
    values = dict(zip(pseudo_tokens(3), [mean, variance, *shares], strict=True))
    return {token: Logprob(value) for token, value in {7: -0.5, **values}.items()}


class Reporting:
    """vLLM, as far as the host sees it: reports these rows for a prompt and for what it generates."""

    def __init__(self, prompt: list[dict[int, Logprob]], generated: list[dict[int, Logprob]]) -> None:
        self._prompt, self._generated = prompt, generated

    async def generate(self, *_: object) -> AsyncGenerator[Any]:
        tokens = [7] * len(self._generated)
        output = SimpleNamespace(token_ids=tokens, logprobs=self._generated, finish_reason="length")
        yield SimpleNamespace(outputs=[output], prompt_logprobs=[None, *self._prompt])

    async def collective_rpc(self, method: str, args: tuple[str]) -> list[Any]:
        assert method == "take_routing"
        # a slot left over repeats the best expert
        return [([[[0.0, 1.0, 0.0]] * 4] * 2, [[[1, 1]] * 4] * 2)]


def answer(folder: Path, llm: Any, request: dict[str, Any]) -> dict[str, Any]:
    async def ask() -> dict[str, Any]:
        model = Model(llm, HELLO)
        path = str(folder / "socket")
        async with await asyncio.start_unix_server(lambda r, w: Connection(model, r, w).serve(), path):
            reader, writer = await asyncio.open_unix_connection(path)
            await reader.readline()
            writer.write(json.dumps(request).encode() + b"\n")
            found: dict[str, Any] = json.loads(await reader.readline())
            writer.close()
            return found

    return asyncio.run(ask())


@pytest.mark.parametrize("request_", [GENERATE, SCORE])
def test_the_mask_in_an_answer_is_the_worker_s_and_not_the_request_s(tmp_path: Path, request_: dict[str, Any]) -> None:
    for shares, allowed in (
        (SHARES, [0, 2]),
        # fewer than asked; more than asked, whether or not the other took part
        ([1.0, FORBIDDEN, FORBIDDEN], [0]),
        ([0.75, 0.0, 0.25], [0, 1, 2]),
        ([0.5, 0.25, 0.25], [0, 1, 2]),
    ):
        (tmp_path / "socket").unlink(missing_ok=True)
        found = answer(tmp_path, Reporting([row(shares=shares)], [row(shares=shares)]), request_)
        assert found["allowed"] == allowed
        routing = found["routing"] if request_ is SCORE else found["routing"][0]
        assert routing == [max(share, 0) for share in shares]


def test_routing_says_which_slots_no_allowed_expert_filled_and_what_comes_next(tmp_path: Path) -> None:
    only = row(shares=[FORBIDDEN, 1.0, FORBIDDEN])
    better = {9: Logprob(-0.1), **only}
    request = {"do": "route", "id": "a", "tokens": [5, 7], "allowed": [1], "predict": True}
    found = answer(tmp_path, Reporting([better], [only]), request)
    assert found["allowed"] == [1]
    assert found["probabilities"] == [[[0.0, 1.0, 0.0]] * 4] * 2
    assert found["chosen"] == [[[1, -1]] * 4] * 2
    assert found["predicted"] == [9, 7]


@pytest.mark.parametrize("request_", [GENERATE, SCORE])
def test_tokens_under_different_masks_are_no_answer(tmp_path: Path, request_: dict[str, Any]) -> None:
    other = row(shares=[1.0, FORBIDDEN, FORBIDDEN])
    rows = [row(), other] if request_ is GENERATE else [other]
    found = answer(tmp_path, Reporting([row()], rows), request_)
    assert (found["event"], found["code"]) == ("failed", "failed")
    assert "mask" in found["message"]


@pytest.mark.parametrize("request_", [GENERATE, SCORE])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("where", ["mean", "shares"])
def test_a_number_that_is_not_finite_fails_its_request(
    tmp_path: Path, request_: dict[str, Any], bad: float, where: str
) -> None:
    broken = row(**{where: [bad, FORBIDDEN, 0.25] if where == "shares" else bad})
    found = answer(tmp_path, Reporting([broken], [broken]), request_)
    assert (found["event"], found["id"], found["code"]) == ("failed", "a", "failed")
    assert "not finite" in found["message"]
