"""The statistics of each token equal those computed directly from a transformers model."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from vllm import SamplingParams

import tiny
from candor_vllm.statistics import columns, split
from conftest import Served, experts, prompt

MASKS = ["0,1,2,3", "0", "1,3", None]


def direct(served: Served, mask: str | None, tokens: list[int]) -> tuple[Tensor, Tensor]:
    """(positions, vocabulary) log p and (positions, experts) routing averaged over layers, by the pruned model."""
    logprobs, routing = served.pruned_and_routed(experts(mask), tokens)
    return logprobs, routing.mean(1)


def compare(rows: list[Any], tokens: list[int], mask: str | None, logprobs: Tensor, routing: Tensor) -> None:
    """`rows[i]` is what vLLM says of `tokens[i]` under `mask`; the tensors have one row for each."""
    found = [split(row) for row in rows]
    assert {frozenset(each.allowed) for each in found} == {experts(mask)}
    close = {"atol": 1e-4, "rtol": 1e-4}
    own = [row[token].logprob for row, token in zip(rows, tokens, strict=True)]
    torch.testing.assert_close(torch.tensor(own), logprobs[range(len(tokens)), tokens], **close)
    torch.testing.assert_close(torch.tensor([each.mean for each in found]), logprobs.mean(-1), **close)
    torch.testing.assert_close(torch.tensor([each.variance for each in found]), logprobs.var(-1, correction=0), **close)
    torch.testing.assert_close(torch.tensor([each.routing for each in found]), routing, **close)
    assert torch.equal(torch.tensor([each.routing for each in found]) == 0, routing == 0)
    best = logprobs.topk(2).indices.tolist()
    assert [[token for token, _ in each.top[:2]] for each in found] == best


def test_statistics_of_generated_tokens(served: Served) -> None:
    prompts = [prompt(300 + i, length=10 + 5 * i) for i in range(len(MASKS))]
    answers = served.ask(prompts, MASKS, temperature=0.8, top_p=0.9, seed=1, presence_penalty=0.5)
    for mask, asked, answer in zip(MASKS, prompts, answers, strict=True):
        tokens = list(answer.outputs[0].token_ids)
        logprobs, routing = direct(served, mask, asked + tokens)
        last = slice(len(asked) - 1, -1)
        compare(list(answer.outputs[0].logprobs), tokens, mask, logprobs[last], routing[last])


def test_statistics_of_prompts_even_if_computed_in_pieces(served: Served) -> None:
    prompts = [prompt(400 + i, length=30 + 40 * i) for i in range(len(MASKS))]
    answers = served.ask(prompts, MASKS, prompt_logprobs=columns(tiny.EXPERTS) + 2, tokens=1)
    for mask, asked, answer in zip(MASKS, prompts, answers, strict=True):
        logprobs, routing = direct(served, mask, asked)
        compare(list(answer.prompt_logprobs)[1:], asked[1:], mask, logprobs[:-1], routing[:-1])


def test_a_seed_gives_the_same_answer_whether_or_not_the_prompt_is_computed_in_pieces(served: Served) -> None:
    asked = prompt(500, length=60)
    settings: dict[str, Any] = {"temperature": 1, "seed": 4}
    (whole,) = served.ask([asked], ["0,1"], **settings)
    served.llm.reset_prefix_cache()
    # 64 tokens a step: beside this neighbour the prompt takes two
    _, pieces = served.ask([prompt(501, length=40), asked], ["0", "0,1"], **settings)
    assert pieces.outputs[0].token_ids == whole.outputs[0].token_ids


def test_a_neighbour_who_wants_no_statistics_gets_what_vllm_gives(served: Served) -> None:
    asked = prompt(9)
    common: dict[str, Any] = {"temperature": 0, "max_tokens": 4, "ignore_eos": True, "detokenize": False}
    plain = SamplingParams(**common, logprobs=3, prompt_logprobs=2, extra_args={"experts_on": "0,1"})
    full = SamplingParams(
        **common,
        logprobs=columns(tiny.EXPERTS),
        prompt_logprobs=columns(tiny.EXPERTS),
        extra_args={"experts_on": "0,1", "statistics": "1"},
    )
    requests = [{"prompt_token_ids": asked}] * 2
    first, second = served.llm.generate(requests, [plain, full], use_tqdm=False)
    assert first.outputs[0].token_ids == second.outputs[0].token_ids
    logprobs = served.pruned({0, 1}, asked + list(first.outputs[0].token_ids))
    for place, row in enumerate(first.outputs[0].logprobs):
        assert set(row) == set(logprobs[len(asked) - 1 + place].topk(3).indices.tolist())
    for place, row in enumerate(first.prompt_logprobs[1:]):
        assert set(row) == {asked[place + 1], *logprobs[place].topk(2).indices.tolist()}
    with pytest.raises(ValueError, match="no statistics"):
        split(first.outputs[0].logprobs[0])
