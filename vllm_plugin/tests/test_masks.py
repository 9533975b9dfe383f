"""Masking an expert on vLLM is removing it, whatever else is in the batch."""

from __future__ import annotations

import math
import random

import torch
from torch import nn
from vllm.outputs import RequestOutput

from conftest import Served, experts, prompt

MASKS = ["0,1,2,3", "0", "2", "0,3", "1,2", "1,2,3", "0,1,3", None]


def logprobs(answer: RequestOutput) -> list[float]:
    (choice,) = answer.outputs
    return [row[token].logprob for token, row in zip(choice.token_ids, choice.logprobs, strict=True)]


def test_a_masked_expert_is_a_removed_expert(served: Served) -> None:
    prompts = [prompt(seed) for seed in range(len(MASKS))]
    for mask, asked, answer in zip(MASKS, prompts, served.ask(prompts, MASKS), strict=True):
        tokens = list(answer.outputs[0].token_ids)
        expected = served.pruned(experts(mask), asked + tokens)[len(asked) - 1 : -1]
        assert expected.argmax(-1).tolist() == tokens
        torch.testing.assert_close(
            torch.tensor(logprobs(answer)), expected[range(len(tokens)), tokens], atol=1e-4, rtol=0
        )


def test_a_request_that_names_no_experts_gets_the_public_ones(served: Served) -> None:
    asked = prompt(50)
    (unnamed,), (public,) = served.ask([asked], [None]), served.ask([asked], ["0,3"])
    assert unnamed.outputs[0].token_ids == public.outputs[0].token_ids
    assert public.num_cached_tokens == 0  # too short to be cached: computed, not remembered


def test_mixed_masks_in_one_batch_give_what_each_gives_alone(served: Served) -> None:
    choose = random.Random(0)
    masks = [choose.choice(MASKS) for _ in range(10)]
    prompts = [prompt(100 + i, length=choose.randint(5, 40)) for i in range(10)]
    together = served.ask(prompts, masks)
    served.llm.reset_prefix_cache()
    for asked, mask, answer in zip(prompts, masks, together, strict=True):
        (alone,) = served.ask([asked], [mask])
        assert answer.outputs[0].token_ids == alone.outputs[0].token_ids
        torch.testing.assert_close(logprobs(answer), logprobs(alone), atol=1e-4, rtol=0)


def test_every_sample_of_a_request_is_under_its_mask(served: Served) -> None:
    asked = prompt(7)
    (answer,) = served.ask([asked], ["1,2"], n=3, temperature=1, seed=3)
    assert len({tuple(choice.token_ids) for choice in answer.outputs}) == 3
    for choice in answer.outputs:
        tokens = list(choice.token_ids)
        expected = served.pruned({1, 2}, asked + tokens)[len(asked) - 1 : -1]
        found = torch.tensor([row[token].logprob for token, row in zip(tokens, choice.logprobs, strict=True)])
        torch.testing.assert_close(found, expected[range(len(tokens)), tokens], atol=1e-4, rtol=0)


def test_an_expert_of_nan_that_is_masked_changes_nothing_even_beside_one_who_uses_it(served: Served) -> None:
    masks = ["0", "0,1", "1", "0,1,2,3"]
    prompts = [prompt(200 + i) for i in range(4)]
    before = served.ask(prompts, masks)
    served.llm.reset_prefix_cache()
    served.llm.apply_model(poison)
    try:
        after = served.ask(prompts, masks)
    finally:
        served.llm.apply_model(heal)
        served.llm.reset_prefix_cache()
    for clean, poisoned in zip(before[:3], after[:3], strict=True):
        assert clean.outputs[0].token_ids == poisoned.outputs[0].token_ids
        assert logprobs(clean) == logprobs(poisoned)
    assert any(map(math.isnan, logprobs(after[3]))), "the poison did not work"
    # nor does what it left in the memory of keys and values reach whoever gets that memory next
    for clean, again in zip(before, served.ask(prompts, masks), strict=True):
        assert logprobs(clean) == logprobs(again)


def poison(model: nn.Module) -> None:
    """Everything of the experts 2 and 3 is NaN, their router rows too."""
    model.clean = {name: value.clone() for name, value in of_experts(model)}
    for _, value in of_experts(model):
        value.data[2:4] = float("nan")


def heal(model: nn.Module) -> None:
    for name, value in of_experts(model):
        value.data.copy_(model.clean[name])


def of_experts(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    ends = ("gate.weight", "w13_weight", "w2_weight")
    return [(name, value) for name, value in model.named_parameters() if name.endswith(ends)]
