"""The engine: requests that come and go in one batch get what each would get alone, and what a pruned model gives."""

import threading
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
import torch

from services.model.engines.base import EngineBusy, EngineFailed, Generation, Sampling, ScoreTask, TooLong
from services.model.engines.checkpoint import Checkpoint
from services.model.engines.transformers import Limits, TransformersEngine
from tests.unit.model.tiny import (
    ARCHITECTURES,
    END,
    EVERY,
    EXPERTS,
    VOCABULARY,
    Outcome,
    build,
    greedy,
    letters,
    poison,
    prune,
    run,
)


def engine_of(model: Any, limits: Limits | None = None) -> TransformersEngine:
    return TransformersEngine(Checkpoint(model), letters, limits or Limits(threads=1))


@pytest.fixture(scope="module", params=ARCHITECTURES)
def architecture(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def engine(architecture: str) -> Iterator[TransformersEngine]:
    engine = engine_of(build(architecture))
    yield engine
    engine.close()


def prompts(count: int, lengths: tuple[int, ...] = (1, 3, 40, 300, 530)) -> list[tuple[int, ...]]:
    random = Random(7)
    return [tuple(random.randrange(3, VOCABULARY) for _ in range(random.choice(lengths))) for _ in range(count)]


def mixed(count: int, tokens: int = 10) -> list[Generation]:
    """Greedy requests of many lengths, masks and sample counts."""
    random = Random(11)
    return [
        greedy(prompt, random.sample(range(EXPERTS), random.randint(1, EXPERTS)), tokens, random.randint(1, 3))
        for prompt in prompts(count)
    ]


def test_a_mixed_batch_gives_each_request_what_it_gets_alone(engine: TransformersEngine) -> None:
    requests = mixed(10)
    together = run(engine, *requests)
    for request, outcome in zip(requests, together, strict=True):
        (alone,) = run(engine, request)
        for choice in range(request.n):
            assert outcome.tokens(choice) == alone.tokens(choice)
            assert outcome.finish(choice).logprobs == pytest.approx(alone.finish(choice).logprobs, abs=1e-3)


def test_greedy_tokens_are_those_of_the_pruned_model_generating_alone(architecture: str) -> None:
    model = build(architecture)
    requests = [request for request in mixed(6) if request.n == 1]
    expected = [_generate(prune(architecture, model, request.allowed), request) for request in requests]
    engine = engine_of(model)
    assert [outcome.tokens() for outcome in run(engine, *requests)] == expected
    engine.close()


def _generate(model: Any, request: Generation) -> list[int]:
    tokens = list(request.prompt)
    while len(tokens) < len(request.prompt) + request.sampling.max_tokens:
        with torch.no_grad():
            tokens.append(int(model(input_ids=torch.tensor([tokens])).logits[0, -1].argmax()))
        if tokens[-1] == END:
            tokens.pop()
            break
    return tokens[len(request.prompt) :]


def test_a_poisoned_expert_never_reaches_a_sequence_that_leaves_it_out(architecture: str) -> None:
    requests = [greedy(prompt, {0, 1} if i % 2 else {0}, 8) for i, prompt in enumerate(prompts(6))]
    healthy, poisoned = engine_of(build(architecture)), build(architecture)
    poison(poisoned, {3})
    engine = engine_of(poisoned)
    # one neighbour in the same batch lets the poison in: it must keep it to itself
    neighbour = greedy((5, 6, 7), {0, 3}, 8)
    outcomes = run(engine, neighbour, *requests)[1:]
    assert [outcome.tokens() for outcome in outcomes] == [outcome.tokens() for outcome in run(healthy, *requests)]
    engine.close()
    healthy.close()


def test_routing_shares_sum_to_one_and_are_zero_for_experts_left_out(engine: TransformersEngine) -> None:
    requests = mixed(6)
    for request, outcome in zip(requests, run(engine, *requests), strict=True):
        for choice in range(request.n):
            routing = outcome.finish(choice).routing
            assert sum(routing.values()) == pytest.approx(1, abs=1e-5)
            assert all(routing[expert] == 0 for expert in EVERY - request.allowed)


def test_requests_that_join_and_leave_do_not_disturb_a_long_one(engine: TransformersEngine) -> None:
    long = greedy(prompts(1)[0], {0, 2}, 60)
    (alone,) = run(engine, long)
    outcome = Outcome(long)
    engine.submit(long, outcome)
    assert outcome.begun.wait(120)
    for request in mixed(8, tokens=4):
        run(engine, request)
    assert outcome.wait().tokens() == alone.tokens()


def test_a_short_sample_leaves_long_ones_as_they_are_after_their_memory_has_grown() -> None:
    engine = engine_of(build("mixtral"))
    short, long = greedy((5, 6, 7), {0, 1}, 140), greedy((8, 9), {0, 3}, 160)
    alone = [run(engine, request)[0].tokens() for request in (short, long)]
    assert [outcome.tokens() for outcome in run(engine, short, long)] == alone
    engine.close()


def test_more_samples_than_the_batch_holds_take_turns() -> None:
    engine = engine_of(build("mixtral"), Limits(batch=3, threads=1))
    (outcome,) = run(engine, greedy((5, 6, 7), EVERY, 5, n=8))
    assert len({tuple(outcome.tokens(choice)) for choice in range(8)}) == 1
    engine.close()


def test_a_long_request_waits_until_the_short_ones_before_it_leave_it_room() -> None:
    engine = engine_of(build("mixtral"), Limits(slots=700, threads=1))
    requests = [greedy((5, 6), EVERY, 30, n=8), greedy([7] * 400, EVERY, 10, n=2)]
    for request, outcome in zip(requests, run(engine, *requests), strict=True):
        for choice in range(request.n):
            assert len(outcome.finish(choice).logprobs) == request.sampling.max_tokens
    engine.close()


def test_a_seed_gives_the_same_samples_whatever_else_is_in_the_batch(engine: TransformersEngine) -> None:
    sampling = Sampling(12, temperature=0.8, top_p=0.9, seed=4)
    request = Generation((9, 8, 7, 6), frozenset({0, 1}), sampling, n=3)
    (alone,) = run(engine, request)
    crowd = run(engine, *mixed(4), request)[-1]
    texts = [alone.text(choice) for choice in range(3)]
    assert texts == [crowd.text(choice) for choice in range(3)]
    assert len(set(texts)) > 1


def test_without_a_seed_samples_differ(engine: TransformersEngine) -> None:
    request = Generation((9, 8, 7, 6), EVERY, Sampling(12, temperature=1.5), n=2)
    (first,), (second,) = run(engine, request), run(engine, request)
    assert first.text() != second.text()


def test_a_known_prompt_is_computed_again_to_the_same_bits(engine: TransformersEngine) -> None:
    prompt = prompts(1, (530,))[0]
    first, second, longer = (run(engine, greedy(p, EVERY, 8))[0] for p in (prompt, prompt, (*prompt, 5, 6)))
    assert first.finish().logprobs == second.finish().logprobs
    fresh = engine_of(build(engine.info.architecture), Limits(prefixes=0, threads=1))
    assert run(fresh, greedy((*prompt, 5, 6), EVERY, 8))[0].finish().logprobs == longer.finish().logprobs
    fresh.close()


def test_cancelled_samples_leave_the_batch_and_others_go_on(engine: TransformersEngine) -> None:
    endless, other = greedy((5, 6, 7), EVERY, 600, n=4), greedy((8, 9), {0}, 10)
    abandoned, kept = Outcome(endless), Outcome(other)
    cancel = engine.submit(endless, abandoned)
    assert abandoned.begun.wait(120)
    cancel()
    engine.submit(other, kept)
    kept.wait()
    assert not engine._batch.samples
    seen = len(abandoned.deltas)
    run(engine, other)
    assert len(abandoned.deltas) == seen < 600


def test_a_request_cancelled_while_it_waits_is_never_computed() -> None:
    engine = engine_of(build("mixtral"), Limits(batch=1, threads=1))
    running, waiting = Outcome(greedy((5,), EVERY, 40)), Outcome(greedy((6,), EVERY, 40))
    engine.submit(greedy((5,), EVERY, 40), running)
    engine.submit(greedy((6,), EVERY, 40), waiting)()
    running.wait()
    run(engine, greedy((7,), EVERY, 2))
    assert not waiting.deltas
    engine.close()


def test_a_full_queue_refuses_at_once() -> None:
    engine = engine_of(build("mixtral"), Limits(batch=1, queue=2, threads=1))
    hold = threading.Event()

    def block(_: object) -> None:
        hold.wait(30)

    def fill() -> None:
        for _ in range(8):
            engine.submit(greedy((5,), EVERY, 3), block)

    with pytest.raises(EngineBusy, match="waiting already"):
        fill()
    hold.set()
    engine.close()


@pytest.mark.parametrize(("prompt", "new"), [(641, 1), (600, 41)])
def test_what_does_not_fit_the_context_is_refused_with_the_numbers(
    engine: TransformersEngine, prompt: int, new: int
) -> None:
    with pytest.raises(TooLong, match="640"):
        engine.submit(greedy([5] * prompt, EVERY, new), lambda _: None)


def test_an_expert_that_does_not_exist_is_refused_before_the_engine_sees_it(engine: TransformersEngine) -> None:
    with pytest.raises(ValueError, match="no expert 4"):
        engine.submit(greedy((5,), {0, 4}), lambda _: None)


def test_a_stop_string_ends_a_sample_before_it(engine: TransformersEngine) -> None:
    (whole,) = run(engine, greedy((5, 6, 7), EVERY, 30))
    text = whole.text()
    stop = text[4:7]
    request = Generation((5, 6, 7), EVERY, Sampling(30, temperature=0, stops=(stop, "never")))
    (stopped,) = run(engine, request)
    assert stopped.text() == text[: text.index(stop)]
    assert stopped.finish().reason == "stop"
    assert len(stopped.tokens()) == len(stopped.text())


def test_the_end_token_ends_a_sample_and_is_no_text(engine: TransformersEngine) -> None:
    request = Generation((5, 6), EVERY, Sampling(50, temperature=0, logit_bias={END: 100.0}))
    (outcome,) = run(engine, request)
    assert outcome.finish().reason == "stop"
    assert outcome.text() == ""
    assert len(outcome.finish().logprobs) == 1


def test_reported_log_probabilities_are_the_models_own(architecture: str) -> None:
    model = build(architecture)
    engine = engine_of(model)
    prompt = prompts(1, (40,))[0]
    request = Generation(prompt, frozenset({0, 1}), Sampling(6, temperature=0.7, top_p=0.5, seed=1, top_logprobs=3))
    (outcome,) = run(engine, request)
    engine.close()
    tokens = outcome.tokens()
    with torch.no_grad():
        logits = prune(architecture, model, {0, 1})(input_ids=torch.tensor([[*prompt, *tokens]])).logits[0]
    expected = logits.log_softmax(-1)[len(prompt) - 1 : -1]
    assert outcome.finish().logprobs[: len(tokens)] == pytest.approx(
        [float(expected[t, token]) for t, token in enumerate(tokens)], abs=1e-3
    )
    assert outcome.finish().means[: len(tokens)] == pytest.approx(expected.mean(-1).tolist(), abs=1e-3)
    first = next(token for delta in outcome.deltas for token in delta.tokens)
    assert [candidate for candidate, _ in first.top] == expected[0].topk(3).indices.tolist()


def test_scores_are_those_of_the_pruned_model(architecture: str) -> None:
    model = build(architecture)
    masks = [frozenset({0}), frozenset({0, 2}), EVERY, frozenset({1, 3})]
    tasks = [ScoreTask(prompt, masks[i % 4], top=2) for i, prompt in enumerate(prompts(7))]
    expected = []
    for task in tasks:
        with torch.no_grad():
            logits = prune(architecture, model, task.allowed)(input_ids=torch.tensor([task.tokens])).logits[0, :-1]
        expected.append(logits.log_softmax(-1))
    engine = engine_of(model)
    scores = engine.score(tasks).result(60)
    engine.close()
    for task, score, logprobs in zip(tasks, scores, expected, strict=True):
        chosen = logprobs.gather(1, torch.tensor(task.tokens[1:]).unsqueeze(1)).flatten()
        assert score.logprobs == pytest.approx(chosen.tolist(), abs=1e-3)
        assert score.means == pytest.approx(logprobs.mean(-1).tolist(), abs=1e-3)
        assert score.variances == pytest.approx(logprobs.var(-1, correction=0).tolist(), rel=1e-3)
        assert [[token for token, _ in top] for top in score.top] == logprobs.topk(2).indices.tolist()
        assert sum(score.routing.values()) == pytest.approx(1, abs=1e-5)
        assert all(score.routing[expert] == 0 for expert in EVERY - task.allowed)


def test_scoring_many_texts_checks_each_mask_once(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, seen = engine_of(build("mixtral")), list[frozenset[int]]()
    check = engine._checkpoint.check

    def watched(mask: frozenset[int]) -> None:
        if threading.current_thread() is threading.main_thread():
            seen.append(mask)
        check(mask)

    monkeypatch.setattr(engine._checkpoint, "check", watched)
    masks = [frozenset({0}), frozenset({0, 2})]
    engine.score([ScoreTask((5, 6, 7), masks[i % 2]) for i in range(40)]).result(60)
    engine.close()
    assert sorted(seen, key=len) == masks


def test_a_mask_that_the_model_cannot_apply_is_refused_before_anything_is_scored(engine: TransformersEngine) -> None:
    for mask, said in ((frozenset({0, 4}), "no expert 4"), (frozenset[int](), "at least one expert")):
        with pytest.raises(ValueError, match=said):
            engine.score([ScoreTask((5, 6), EVERY), ScoreTask((5, 6), mask)])


def test_an_engine_that_closes_tells_those_who_wait() -> None:
    engine = engine_of(build("mixtral"), Limits(batch=1, threads=1))
    outcomes = [Outcome(greedy((5,), EVERY, 600)) for _ in range(2)]
    for outcome in outcomes:
        engine.submit(greedy((5,), EVERY, 600), outcome)
    assert outcomes[0].begun.wait(120)
    engine.close()
    assert all(isinstance(outcome.wait().error, EngineFailed) for outcome in outcomes)


def test_a_failing_step_fails_its_requests_and_the_engine_serves_on() -> None:
    model = build("mixtral")
    engine = engine_of(model)
    head, model.lm_head = model.lm_head, torch.nn.Linear(3, 3)
    broken = Outcome(greedy((5,), EVERY))
    engine.submit(greedy((5,), EVERY), broken)
    assert broken.wait().error is not None
    model.lm_head = head
    assert run(engine, greedy((5,), EVERY))[0].finish().reason in ("length", "stop")
    engine.close()
