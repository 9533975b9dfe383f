"""What each layer's router did with each token of a traced request."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from vllm import SamplingParams

from conftest import Served, experts, prompt


def params(mask: str, key: str | None, **settings: Any) -> SamplingParams:
    extra = {"experts_on": mask} | ({} if key is None else {"routing": key})
    return SamplingParams(max_tokens=3, ignore_eos=True, detokenize=False, extra_args=extra, **settings)


def test_a_trace_has_every_layers_probabilities_and_choices(served: Served) -> None:
    masks = ["0,1,2,3", "1,3", "2", "0,1"]
    keys = ["a", None, "b", "c"]
    prompts = [prompt(700 + i, length=20 + 30 * i) for i in range(4)]
    requests = [{"prompt_token_ids": each} for each in prompts]
    settings = [params(mask, key) for mask, key in zip(masks, keys, strict=True)]
    answers = served.llm.generate(requests, settings, use_tqdm=False)
    # again: a traced request computes what the cache would have spared it
    served.llm.generate(requests, settings, use_tqdm=False)
    for mask, key, answer in zip(masks, keys, answers, strict=True):
        if key is None:
            continue
        ((found, chosen),) = served.llm.collective_rpc("take_routing", args=(key,))
        _, expected = served.pruned_and_routed(
            experts(mask), answer.prompt_token_ids + list(answer.outputs[0].token_ids)[:-1]
        )
        torch.testing.assert_close(torch.tensor(found), expected, atol=1e-4, rtol=1e-4)
        assert torch.tensor(chosen)[:, :, 0].tolist() == expected.argmax(-1).tolist()
        assert set(torch.tensor(chosen).flatten().tolist()) <= experts(mask)


@pytest.mark.parametrize(("key", "settings"), [("", {}), (7, {}), ("k" * 65, {}), ("k", {"n": 2, "seed": 1})])
def test_a_trace_that_could_not_be_told_apart_is_refused(served: Served, key: Any, settings: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"routing|one sample"):
        served.llm.generate([{"prompt_token_ids": prompt(1)}], params("0", key, **settings), use_tqdm=False)
