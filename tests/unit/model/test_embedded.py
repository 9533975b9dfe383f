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
from services.model.flexolmo.recipe import anchor_folder
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
