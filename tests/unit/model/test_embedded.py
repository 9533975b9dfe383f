"""The embedded model: with every owner left out it is the public model it was made from."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from services.model.engines.base import ScoreTask
from services.model.engines.checkpoint import Checkpoint
from services.model.engines.tokenizer import Tokenizer
from services.model.engines.transformers import Limits, TransformersEngine
from services.model.flexolmo.build import ensure_merged
from services.model.flexolmo.merge import merge
from services.model.flexolmo.recipe import EXPERTS, OWNERS, anchor_folder
from tests.unit.model.tiny import greedy, run

TEXT = "The lighthouse keeper wrote every evening what the sea had brought, and burnt the page in the morning."


@pytest.fixture(scope="module")
def tokens(candor_home: Path) -> tuple[int, ...]:
    return tuple(Tokenizer.load(ensure_merged(candor_home)).encode(TEXT))


@pytest.fixture(scope="module")
def engine(candor_home: Path) -> Iterator[TransformersEngine]:
    directory = ensure_merged(candor_home)
    engine = TransformersEngine(
        Checkpoint.load(directory, "float32"), Tokenizer.load(directory).decode, Limits(threads=1)
    )
    yield engine
    engine.close()


def test_with_all_owners_out_it_is_the_anchor(
    candor_home: Path, engine: TransformersEngine, tokens: tuple[int, ...]
) -> None:
    anchor: Any = AutoModelForCausalLM.from_pretrained(anchor_folder(candor_home), dtype=torch.float32)
    with torch.no_grad():
        expected = anchor(input_ids=torch.tensor([tokens])).logits[0, :-1].log_softmax(-1)
        answer = anchor.generate(torch.tensor([tokens]), do_sample=False, max_new_tokens=4)[0, len(tokens) :]
    (score,) = engine.score([ScoreTask(tokens, frozenset({0}))]).result(120)
    assert score.means == pytest.approx(expected.mean(-1).tolist(), abs=1e-3)
    assert run(engine, greedy(tokens, {0}, 4))[0].tokens() == answer.tolist()


def test_every_owners_expert_computes_when_allowed_and_never_when_not(
    engine: TransformersEngine, tokens: tuple[int, ...]
) -> None:
    count = engine.info.experts
    masks = [frozenset(range(count)) - {left_out} for left_out in range(1, count)]
    (everyone, *without) = run(engine, *(greedy(tokens, mask, 6) for mask in (frozenset(range(count)), *masks)))
    assert min(everyone.finish().routing.values()) > 0
    for left_out, outcome in enumerate(without, start=1):
        assert outcome.finish().routing[left_out] == 0


def test_an_expert_that_left_it_and_one_that_joined_it_are_as_merged(
    candor_home: Path, tokens: tuple[int, ...], tmp_path: Path
) -> None:
    built, left = ensure_merged(candor_home), OWNERS[-1]
    files = [EXPERTS / f"{owner}.safetensors" for owner in OWNERS]
    without = merge(anchor_folder(candor_home), files[:-1], tmp_path / "without")
    decode, last = Tokenizer.load(built).decode, len(OWNERS)
    live, merged = (
        TransformersEngine(Checkpoint.load(folder, "bfloat16"), decode, Limits(threads=1))
        for folder in (built, without)
    )
    remaining = [ScoreTask(tokens, frozenset(mask)) for mask in ({0}, {0, 1}, set(range(last)))]
    with_it = [{0, last}, {*range(last + 1)}]
    before = live.score([ScoreTask(tokens, frozenset(mask)) for mask in with_it]).result(120)
    live.remove(last, 0).result(120)
    assert live.score(remaining).result(120) == merged.score(remaining).result(120)
    number = live.add(live.read(EXPERTS / f"{left}.safetensors")).result(120)
    after = live.score([ScoreTask(tokens, frozenset(mask - {last} | {number})) for mask in with_it]).result(120)
    for one, other in zip(before, after, strict=True):
        assert (one.logprobs, one.means, one.variances) == (other.logprobs, other.means, other.variances)
        assert one.routing[last] == other.routing[number] > 0
    live.close()
    merged.close()
