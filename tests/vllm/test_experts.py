"""Experts of a running vLLM: none can join, and one that leaves is out of reach at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.model.engines.base import ExpertGone, Generation, Sampling, ScoreTask, Unsupported
from services.model.engines.vllm.engine import VllmEngine
from services.model.engines.vllm.hosts import RemoteHost
from services.model.settings import ModelSettings
from tests.unit.model.tiny import Outcome, greedy, letters
from tests.vllm.support import serving, until_under_way

ENDLESS = Generation((5, 6), frozenset({0, 1}), Sampling(600, temperature=0, logit_bias={2: -100}))


def test_over_http_an_expert_cannot_join_but_can_leave_for_good(
    host: Path, vllm_checkpoint: Path, tmp_path: Path
) -> None:
    settings = ModelSettings(
        directory=vllm_checkpoint, engine="vllm", vllm_address=f"unix:{host}", experts=tmp_path / "experts"
    )
    text = {"model": "candor", "prompt": "the owner", "temperature": 0, "max_tokens": 4}
    for after_a_restart in (False, True):
        with serving(settings) as client:
            if not after_a_restart:
                refused = client.put("/v1/experts/poets", content=b"an expert")
                assert (refused.status_code, refused.json()["code"]) == (501, "experts_fixed")
                assert "candor model merge" in refused.json()["detail"]
                assert client.delete("/v1/experts/papers").status_code == 204
            listed = client.get("/v1/experts").json()["data"]
            assert [expert["id"] for expert in listed] == ["public", "medicine", "python"]
            gone = client.post("/v1/completions", json=text | {"candor": {"experts": ["papers"]}})
            assert (gone.status_code, gone.json()["error"]["code"]) == (404, "unknown_expert")
            stays = client.post("/v1/completions", json=text | {"candor": {"experts": ["python"]}})
            assert stays.json()["candor"]["experts"] == ["public", "python"]
            assert client.get("/readyz").json()["warnings"] == []


def test_an_expert_that_leaves_is_refused_at_once_and_ends_who_uses_it_too_long(
    host: Path, vllm_checkpoint: Path
) -> None:
    engine = VllmEngine(RemoteHost(f"unix:{host}"), vllm_checkpoint, letters, 3, lambda trouble: None)
    try:
        with pytest.raises(Unsupported, match="restart"):
            engine.check_joining()
        with pytest.raises(Unsupported, match=r"poets\.safetensors"):
            engine.read(Path("poets.safetensors"))
        uses, other = Outcome(ENDLESS), Outcome(greedy([5, 6], {0, 2}, tokens=40))
        engine.submit(ENDLESS, uses)
        engine.submit(greedy([5, 6], {0, 2}, tokens=40), other)
        assert uses.begun.wait(60)
        removed = engine.remove(1, patience=0.2)
        for attempt in (
            lambda: engine.submit(greedy([5], {1}), lambda outcome: None),
            lambda: engine.score([ScoreTask((5,), frozenset({0, 1}))]),
            lambda: engine.remove(1, patience=0),
        ):
            with pytest.raises(ExpertGone):
                attempt()
        removed.result(60)
        assert isinstance(uses.wait().error, ExpertGone)
        assert other.wait().error is None
        assert engine.info.experts == 3
        # nobody uses this one: it leaves without waiting for its time
        engine.remove(3, patience=1000).result(60)
        engine.remove(2, patience=0).result(60)
        with pytest.raises(ValueError, match="last"):
            engine.remove(0, patience=0)
    finally:
        engine.close()
    until_under_way(host, 0)
