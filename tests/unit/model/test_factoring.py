"""A merge of low-rank experts, served as changes of one public FFN: the same model, and the same consent."""

from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from services.model.engines.checkpoint import Checkpoint
from services.model.engines.factored import FactoredExperts
from services.model.engines.transformers import Limits, TransformersEngine
from services.model.flexolmo.merge import merge
from services.model.flexolmo.merged import expert_file
from tests.unit.flexolmo.conftest import make_anchor
from tests.unit.flexolmo.making import make_expert
from tests.unit.model.tiny import greedy, letters, run

TOKENS = torch.tensor([[7, 20, 35, 90, 120, 4, 250, 33], [101, 2, 3, 77, 5, 66, 200, 9]])
MASKS = [{0, *others} for size in range(3) for others in combinations((1, 2), size)]


class Made:
    """An anchor of one family with three owners' experts, one of them full."""

    def __init__(self, folder: Path, family: str) -> None:
        self.folder = folder
        self.anchor = make_anchor(folder / "anchor", 0, family, torch.float32)
        self.files = {
            owner: make_expert(self.anchor, owner, folder / f"{owner}.safetensors", seed, rank)
            for seed, (owner, rank) in enumerate({"bakery": 4, "harbour": 2, "park": None}.items(), start=1)
        }

    def merged(self, *owners: str) -> Path:
        return merge(self.anchor, [self.files[owner] for owner in owners], self.folder / "-".join(["with", *owners]), 2)


@pytest.fixture(scope="module", params=["llama", "olmo2"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp(request.param), request.param)


@torch.inference_mode()
def logits(checkpoint: Checkpoint, mask: set[int]) -> Tensor:
    rows = checkpoint.mask.rows(checkpoint.allowed([frozenset(mask)] * len(TOKENS)), TOKENS.shape[1])
    states, _ = checkpoint.hidden(TOKENS, rows)
    return checkpoint.logits(states)


def factored(checkpoint: Checkpoint) -> bool:
    return all(isinstance(layer.mlp.experts, FactoredExperts) for layer in checkpoint.model.model.layers)


def test_it_computes_what_the_merged_weights_do(made: Made) -> None:
    folder = made.merged("bakery", "harbour")
    ours = Checkpoint.load(folder, "float32")
    plain: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    fused = Checkpoint(plain)
    assert factored(ours)
    assert not factored(fused)
    for mask in MASKS:
        torch.testing.assert_close(logits(ours, mask), logits(fused, mask), atol=2e-4, rtol=1e-3)


def test_a_masked_expert_changes_nothing_that_a_merge_without_it_would_not(made: Made) -> None:
    everyone = Checkpoint.load(made.merged("bakery", "harbour"), "float32")
    without = {(): {0}, ("bakery",): {0, 1}, ("harbour",): {0, 2}}
    for owners, mask in without.items():
        alone = Checkpoint.load(made.merged(*owners), "float32")
        assert factored(alone)
        assert torch.equal(logits(everyone, mask), logits(alone, set(range(len(owners) + 1))))


def test_with_every_owner_out_it_is_the_anchor(made: Made) -> None:
    everyone = Checkpoint.load(made.merged("bakery", "harbour"), "float32")
    anchor: Any = AutoModelForCausalLM.from_pretrained(made.anchor, dtype=torch.float32)
    with torch.inference_mode():
        assert torch.equal(logits(everyone, {0}), anchor(TOKENS).logits)


def test_an_expert_that_joins_computes_as_if_it_had_been_merged_and_one_that_leaves_as_if_not(made: Made) -> None:
    checkpoint = Checkpoint.load(made.merged("bakery"), "float32")
    engine = TransformersEngine(checkpoint, letters, Limits(threads=1))
    before = logits(checkpoint, {0, 1})
    number = engine.add(engine.read(made.files["harbour"])).result(30)
    both = Checkpoint.load(made.merged("bakery", "harbour"), "float32")
    assert torch.equal(logits(checkpoint, {0, 1, number}), logits(both, {0, 1, 2}))
    joined = checkpoint.model.model.layers[0].mlp.experts.changes[2]
    engine.remove(number, 60).result(30)
    assert torch.equal(logits(checkpoint, {0, 1}), before)
    assert not any(getattr(joined, name).any() for name in joined.__slots__), "its weights are wiped"
    engine.close()


def test_a_full_expert_can_join_the_low_rank_ones(made: Made) -> None:
    checkpoint = Checkpoint.load(made.merged("bakery"), "float32")
    engine = TransformersEngine(checkpoint, letters, Limits(threads=1))
    number = engine.add(engine.read(made.files["park"])).result(30)
    whole = Checkpoint.load(made.merged("bakery", "park"), "float32")
    assert factored(checkpoint)
    assert not factored(whole)
    torch.testing.assert_close(logits(checkpoint, {0, 1, number}), logits(whole, {0, 1, 2}), atol=2e-4, rtol=1e-3)
    engine.close()


def test_sequences_of_one_batch_under_different_masks_do_not_disturb_each_other(made: Made) -> None:
    engine = TransformersEngine(
        Checkpoint.load(made.merged("bakery", "harbour"), "float32"), letters, Limits(threads=1)
    )
    requests = [greedy((5, 6, 7, 8), mask, 20) for mask in MASKS]
    together = [outcome.tokens() for outcome in run(engine, *requests)]
    assert together == [run(engine, request)[0].tokens() for request in requests]
    engine.close()


def test_a_file_of_another_expert_than_the_merged_one_is_refused(made: Made) -> None:
    folder = made.merged("bakery", "harbour")
    file = expert_file(folder, "bakery")
    file.write_bytes(make_expert(made.anchor, "bakery", made.folder / "other", 9).read_bytes())
    with pytest.raises(ValueError, match=r"bakery\.safetensors is not the expert that was merged"):
        Checkpoint.load(folder, "float32")


def test_without_the_files_the_merged_weights_are_served(made: Made) -> None:
    folder = made.merged("bakery", "harbour")
    expert_file(folder, "bakery").unlink()
    assert not factored(Checkpoint.load(folder, "float32"))
