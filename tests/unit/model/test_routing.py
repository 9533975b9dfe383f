"""Routing of whole sequences: what the routers of a model without the masked experts say."""

from random import Random
from typing import Any

import numpy as np
import pytest
import torch

from services.model.engines.base import EngineFailed, RouteTask, Routing, ScoreTask
from services.model.engines.checkpoint import Checkpoint
from services.model.engines.transformers import Limits, TransformersEngine
from services.model.flexolmo.mask import install
from tests.unit.model.tiny import ARCHITECTURES, EVERY, EXPERTS, VOCABULARY, allow, build, letters, prune

MASKS = [frozenset({0}), frozenset({0, 2}), EVERY, frozenset({0, 1, 3})]


def tasks(count: int = 6) -> list[RouteTask]:
    random = Random(3)
    lengths = (1, 5, 40, 300)
    return [
        RouteTask(
            tuple(random.randrange(3, VOCABULARY) for _ in range(lengths[i % 4])), MASKS[i * 3 % 4], predict=i % 2 == 0
        )
        for i in range(count)
    ]


def routed(model: Any, *asked: RouteTask) -> list[Routing]:
    engine = TransformersEngine(Checkpoint(model), letters, Limits(threads=1))
    try:
        return engine.route(asked).result(60)
    finally:
        engine.close()


@pytest.mark.parametrize("top_k", [1, 2, 3])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_routing_is_that_of_the_pruned_model(architecture: str, top_k: int) -> None:
    model = build(architecture, top_k=top_k)
    asked, expected = tasks(), []
    for task in asked:
        with torch.no_grad():
            pruned = prune(architecture, model, task.allowed)
            expected.append(pruned(input_ids=torch.tensor([task.tokens]), output_router_logits=True))
    for task, found, truth in zip(asked, routed(model, *asked), expected, strict=True):
        kept = sorted(task.allowed)
        probabilities = torch.stack([logits.float().softmax(-1) for logits in truth.router_logits], dim=1)
        assert found.experts == tuple(range(EXPERTS))
        assert found.probabilities.dtype == np.float32
        np.testing.assert_allclose(found.probabilities[..., kept], probabilities.numpy(), atol=1e-4)
        assert (found.probabilities[..., sorted(EVERY - task.allowed)] == 0).all()
        np.testing.assert_allclose(found.probabilities.sum(-1), 1, atol=1e-5)
        slots = min(top_k, len(kept))
        best = np.array(kept)[probabilities.topk(slots, dim=-1).indices.numpy()]
        assert found.chosen.shape == (len(task.tokens), probabilities.shape[1], top_k)
        assert (found.chosen[..., :slots] == best).all()
        assert (found.chosen[..., slots:] == -1).all()
        if task.predict:
            assert found.predicted is not None
            assert found.predicted.tolist() == truth.logits[0].argmax(-1).tolist()
        else:
            assert found.predicted is None


def test_the_scores_routing_is_the_mean_of_the_routing_over_tokens_and_layers() -> None:
    engine = TransformersEngine(Checkpoint(build("olmoe")), letters, Limits(threads=1))
    asked = tasks()[1:4]
    (scores, routings) = (
        engine.score([ScoreTask(task.tokens, task.allowed) for task in asked]).result(60),
        engine.route(asked).result(60),
    )
    engine.close()
    for score, routing in zip(scores, routings, strict=True):
        shares = routing.probabilities.mean(axis=(0, 1))
        assert score.routing == pytest.approx(dict(zip(routing.experts, shares.tolist(), strict=True)), abs=1e-6)


def test_chosen_experts_are_recorded_only_when_asked_for() -> None:
    model = build("mixtral")
    mask = install(model)
    tokens = torch.tensor([[5, 6, 7]])
    with torch.no_grad(), mask.over(mask.rows(allow(EVERY), 3)):
        model(input_ids=tokens)
    with pytest.raises(RuntimeError, match="record_chosen"):
        mask.chosen()


def test_an_engine_that_closes_tells_those_who_wait_for_routing() -> None:
    engine = TransformersEngine(Checkpoint(build("mixtral")), letters, Limits(threads=1))
    waiting = engine.route([RouteTask((5,) * 600, EVERY) for _ in range(200)])
    engine.close()
    assert isinstance(waiting.exception(60), EngineFailed)
