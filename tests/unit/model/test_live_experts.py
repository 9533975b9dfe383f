"""Experts that join and leave a running engine: as if the model had been merged with them, or without."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from random import Random
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from services.model.engines.base import (
    BadExpert,
    EngineFailed,
    ExpertGone,
    ExpertLayer,
    Generation,
    NewExpert,
    Sampling,
    ScoreTask,
)
from services.model.engines.checkpoint import Checkpoint
from services.model.engines.factored import Whole
from services.model.engines.transformers import Limits, TransformersEngine
from tests.unit.model.tiny import ARCHITECTURES, EXPERTS, Outcome, build, greedy, letters, prune, run

LARGE = 6
"""Experts of the model that the others are parts of."""
PATIENCE = 60.0
PROMPT = (5, 6, 7, 8)


def engine_of(model: Any, limits: Limits | None = None) -> TransformersEngine:
    return TransformersEngine(Checkpoint(model), letters, limits or Limits(threads=1))


def expert(model: Any, place: int) -> NewExpert:
    """An expert of a model, as one that could join another."""
    layers = [
        ExpertLayer(
            Whole(
                layer.mlp.experts.gate_up_proj[place].detach().clone(),
                layer.mlp.experts.down_proj[place].detach().clone(),
            ),
            layer.mlp.gate.weight[place].detach().clone(),
        )
        for layer in model.model.layers
    ]
    return NewExpert("someone", None, None, layers)


def whole(layer: ExpertLayer) -> tuple[Tensor, Tensor]:
    """Its FFN's two matrices."""
    assert isinstance(layer.ffn, Whole)
    return layer.ffn.gate_up, layer.ffn.down


@pytest.fixture(scope="module", params=ARCHITECTURES)
def architecture(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def answers(engine: TransformersEngine, masks: Iterable[Iterable[int]]) -> list[tuple[list[int], list[float]]]:
    """Greedy tokens and their log-probabilities under each mask, computed one after another."""
    found = []
    for mask in masks:
        (outcome,) = run(engine, greedy(PROMPT, mask, 10))
        found.append((outcome.tokens(), outcome.finish().logprobs))
    return found


def test_a_model_that_an_expert_joined_is_the_model_merged_with_it(architecture: str) -> None:
    large = build(architecture, experts=LARGE)
    grown, merged = engine_of(prune(architecture, large, range(4))), engine_of(large)
    assert grown.add(expert(large, 4)).result(30) == 4
    assert grown.add(expert(large, 5)).result(30) == 5
    assert grown.info.experts == LARGE
    masks = [{0}, {0, 4}, {0, 1, 5}, range(4), range(LARGE)]
    assert answers(grown, masks) == answers(merged, masks)
    tasks = [ScoreTask((*PROMPT, 9, 10), frozenset(mask)) for mask in masks]
    assert grown.score(tasks).result(30) == merged.score(tasks).result(30)
    grown.close()
    merged.close()


def test_a_model_that_an_expert_left_is_the_model_merged_without_it(architecture: str) -> None:
    model = build(architecture)
    engine, merged = engine_of(build(architecture)), engine_of(prune(architecture, model, {0, 2, 3}))
    engine.remove(1, PATIENCE).result(30)
    assert engine.info.experts == 3
    # the others keep their numbers; in the merged model they are 0, 1 and 2
    found = answers(engine, [{0}, {0, 2}, {0, 3}, {0, 2, 3}])
    assert found == answers(merged, [{0}, {0, 1}, {0, 2}, {0, 1, 2}])
    (outcome,) = run(engine, greedy(PROMPT, {0, 3}))
    assert outcome.finish().routing.keys() == {0, 2, 3}
    engine.close()
    merged.close()


def test_a_removed_expert_s_weights_are_in_memory_no_more(architecture: str) -> None:
    model = build(architecture)
    held = [weight for layer in model.model.layers for weight in (layer.mlp.experts.down_proj, layer.mlp.gate.weight)]
    mark = [weight[1].clone() for weight in held]
    engine = engine_of(model)
    engine.remove(1, PATIENCE).result(30)
    for layer in model.model.layers:
        assert layer.mlp.experts.gate_up_proj.shape[0] == layer.mlp.experts.num_experts == EXPERTS - 1
        assert layer.mlp.experts.gate_up_proj.untyped_storage().nbytes() == layer.mlp.experts.gate_up_proj.nbytes
    # whoever still held the old tensors would find the expert in none of their places
    assert not any(torch.equal(row, old) for weight, old in zip(held, mark, strict=True) for row in weight)
    engine.close()


def test_a_poisoned_expert_that_left_has_never_been_there(architecture: str) -> None:
    large = build(architecture, experts=LARGE)
    engine, clean = engine_of(prune(architecture, large, range(4))), engine_of(prune(architecture, large, range(4)))
    nan = [
        ExpertLayer(
            Whole(*(torch.full_like(w, float("nan")) for w in whole(x))), torch.full_like(x.router, float("nan"))
        )
        for x in expert(large, 4).layers
    ]
    number = engine.add(NewExpert("someone", None, None, nan)).result(30)
    run(engine, greedy(PROMPT, {0, number}))
    engine.remove(number, PATIENCE).result(30)
    again = engine.add(expert(large, 5)).result(30)
    assert again == number + 1
    masks: list[set[int]] = [{0}, {0, 1}, {0, 1, 2, 3}]
    assert answers(engine, masks) == answers(clean, masks)
    clean.add(expert(large, 5)).result(30)
    assert answers(engine, [{0, 1, again}]) == answers(clean, [{0, 1, 4}])
    engine.close()
    clean.close()


def long(mask: Iterable[int], tokens: int = 120, n: int = 1) -> Generation:
    """A request that does not end before its last token."""
    return Generation(PROMPT, frozenset(mask), Sampling(tokens, temperature=0, logit_bias={2: -1e9}), n)


def start(engine: TransformersEngine, request: Generation) -> Outcome:
    outcome = Outcome(request)
    engine.submit(request, outcome)
    assert outcome.begun.wait(120)
    return outcome


def test_requests_under_way_keep_their_masks_when_experts_come_and_go(architecture: str) -> None:
    large = build(architecture, experts=LARGE)
    engine = engine_of(prune(architecture, large, range(4)))
    requests = [long({0}, 60), long({0, 2}, 60, n=2), long({0, 2, 3}, 60)]
    alone = [run(engine, request)[0].tokens() for request in requests]
    running = [start(engine, request) for request in requests]
    engine.remove(1, PATIENCE).result(30)
    engine.add(expert(large, 5)).result(30)
    assert not all(outcome.deltas[-1].finish for outcome in running), "too late to say anything"
    for request, outcome, expected in zip(requests, running, alone, strict=True):
        assert outcome.wait().tokens() == expected
        assert outcome.finish().routing.get(4, 0) == 0
        assert sum(outcome.finish().routing[number] for number in request.allowed) == pytest.approx(1, abs=1e-5)
    engine.close()


@pytest.fixture
def engine() -> Iterator[TransformersEngine]:
    engine = engine_of(build("mixtral"))
    yield engine
    engine.close()


def test_an_expert_that_is_to_leave_waits_for_those_who_use_it_and_is_refused_to_others(
    engine: TransformersEngine,
) -> None:
    expected = run(engine, long({0, 1}))[0].tokens()
    running = start(engine, long({0, 1}))
    leaving = engine.remove(1, PATIENCE)
    with pytest.raises(ExpertGone):
        engine.submit(greedy(PROMPT, {0, 1}), lambda _: None)
    with pytest.raises(ExpertGone):
        engine.score([ScoreTask(PROMPT, frozenset({0})), ScoreTask(PROMPT, frozenset({0, 1}))])
    with pytest.raises(ExpertGone):
        engine.remove(1, PATIENCE)
    assert run(engine, greedy(PROMPT, {0, 2}))[0].finish()
    assert not leaving.done()
    assert running.wait().tokens() == expected
    leaving.result(30)
    with pytest.raises(ExpertGone):
        engine.submit(greedy(PROMPT, {0, 1}), lambda _: None)


def test_those_who_use_an_expert_for_longer_than_the_patience_fail_and_no_one_else(engine: TransformersEngine) -> None:
    others = long({0, 2})
    expected = run(engine, others)[0].tokens()
    running, other = start(engine, long({0, 1}, 600)), start(engine, others)
    waiting = Outcome(long({0, 1}, 600))
    engine.submit(long({0, 1}, 600), waiting)
    scores = engine.score([ScoreTask(PROMPT * 8, frozenset({0, 1}))] * 200)
    engine.remove(1, 0).result(30)
    assert isinstance(running.wait().error, ExpertGone)
    assert isinstance(waiting.wait().error, ExpertGone)
    with pytest.raises(ExpertGone):
        scores.result(30)
    assert other.wait().tokens() == expected


def test_prompts_known_by_a_removed_expert_are_forgotten(engine: TransformersEngine) -> None:
    prompt = tuple(range(5, 300))
    run(engine, greedy(prompt, {0, 1}), greedy(prompt, {0, 2}))
    engine.remove(1, PATIENCE).result(30)
    assert {mask for mask, _ in engine._prefill._known._entries} == {frozenset({0, 2})}
    kept = sum(values.nbytes for values in engine._prefill._known._entries.values())
    assert engine._prefill._known._bytes == kept


def test_an_expert_of_other_shapes_is_refused_and_nothing_changes(engine: TransformersEngine) -> None:
    before = answers(engine, [{0, 1}])
    good = expert(build("mixtral"), 1).layers
    gate_up, down = whole(good[1])
    odd = ExpertLayer(Whole(gate_up, down[:, :-1]), good[1].router)
    half = ExpertLayer(Whole(gate_up.half(), down), good[1].router)
    for layers, said in (
        ([good[0], odd, good[2]], "layer 1: down"),
        ([good[0], half, good[2]], "float16"),
        (good[:2], "2 layers"),
    ):
        with pytest.raises(BadExpert, match=said):
            engine.add(NewExpert("someone", None, None, layers)).result(30)
    assert engine.info.experts == EXPERTS
    assert answers(engine, [{0, 1}]) == before


def test_memory_that_runs_out_while_an_expert_joins_changes_nothing(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, real, calls = answers(engine, [{0, 1}, {0, 3}]), torch.cat, []

    def cat(*arguments: Any, **named: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 5:
            raise RuntimeError("not enough memory")
        return real(*arguments, **named)

    newcomer = expert(build("mixtral"), 1)
    monkeypatch.setattr("services.model.engines.held.torch.cat", cat)
    with pytest.raises(RuntimeError, match="not enough memory"):
        engine.add(newcomer).result(30)
    monkeypatch.undo()
    assert answers(engine, [{0, 1}, {0, 3}]) == before
    assert engine.add(newcomer).result(30) == EXPERTS


def test_the_last_expert_cannot_leave(engine: TransformersEngine) -> None:
    for number in (1, 2, 3):
        engine.remove(number, PATIENCE).result(30)
    with pytest.raises(ValueError, match="last expert"):
        engine.remove(0, PATIENCE)


def test_an_engine_that_closes_tells_those_who_wait_for_a_change() -> None:
    engine = engine_of(build("mixtral"))
    start(engine, long({0, 1}, 600))
    leaving = engine.remove(1, PATIENCE)
    engine.close()
    with pytest.raises(EngineFailed):
        leaving.result(30)
    with pytest.raises(EngineFailed):
        engine.add(expert(build("mixtral"), 1))


@settings(deadline=None, max_examples=12)
@given(seed=st.integers(0, 10_000), steps=st.integers(3, 14))
def test_whatever_comes_and_goes_every_request_gets_what_a_model_with_its_experts_alone_gives(
    property_truth: dict[frozenset[int], list[int]], seed: int, steps: int
) -> None:
    """Experts 0 to 5 of one model join and leave in any order, with requests in between, none of them waited for."""
    random, large = Random(seed), build("mixtral", experts=LARGE)
    engine = engine_of(prune("mixtral", large, {0, 1}), Limits(batch=3, queue=200, threads=1))
    inside, asked, futures = {0: 0, 1: 1}, list[tuple[frozenset[int], Outcome]](), []
    for _ in range(steps):
        outside = [identity for identity in range(1, LARGE) if identity not in inside]
        action = random.choice(("ask", "ask", "ask", "score", "add", "remove"))
        if action == "add" and outside:
            identity = random.choice(outside)
            inside[identity] = engine.add(expert(large, identity)).result(60)
        elif action == "remove" and len(inside) > 1:
            number = inside.pop(random.choice([identity for identity in inside if identity]))
            futures.append(engine.remove(number, PATIENCE))
        else:
            chosen = frozenset({0, *random.sample(sorted(inside), random.randint(0, len(inside)))})
            mask = frozenset(inside[identity] for identity in chosen)
            if action == "score":
                engine.score([ScoreTask(PROMPT, mask)])
            request = greedy(PROMPT, mask, 16, random.randint(1, 3))
            asked.append((chosen, Outcome(request)))
            engine.submit(request, asked[-1][1])
    for chosen, outcome in asked:
        if chosen not in property_truth:
            alone = engine_of(prune("mixtral", large, chosen))
            property_truth[chosen] = run(alone, greedy(PROMPT, range(len(chosen)), 16))[0].tokens()
            alone.close()
        assert outcome.wait().error is None
        assert outcome.tokens() == property_truth[chosen]
        assert sum(outcome.finish().routing.values()) == pytest.approx(1, abs=1e-5)
    for future in futures:
        future.result(60)
    engine.close()


@pytest.fixture(scope="module")
def property_truth() -> dict[frozenset[int], list[int]]:
    """What the model with only these experts answers, as it becomes known."""
    return {}
