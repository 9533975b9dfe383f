"""The prefix cache never crosses masks."""

from __future__ import annotations

import torch

from conftest import Served, prompt


def test_a_cache_filled_under_one_mask_serves_that_mask_only(served: Served) -> None:
    asked = prompt(600, length=100)
    (first,) = served.ask([asked], ["0,1,2,3"], tokens=4)
    (again,) = served.ask([asked], ["3,2,1,0"], tokens=4)
    assert first.num_cached_tokens == 0
    assert again.num_cached_tokens == 96
    assert again.outputs[0].token_ids == first.outputs[0].token_ids

    (without,) = served.ask([asked], ["0,1,3"], tokens=4)
    assert without.num_cached_tokens == 0
    tokens = list(without.outputs[0].token_ids)
    expected = served.pruned({0, 1, 3}, asked + tokens)[len(asked) - 1 : -1]
    assert expected.argmax(-1).tolist() == tokens
    found = [row[token].logprob for token, row in zip(tokens, without.outputs[0].logprobs, strict=True)]
    torch.testing.assert_close(torch.tensor(found), expected[range(4), tokens], atol=1e-4, rtol=0)

    (unnamed,) = served.ask([asked], [None], tokens=4)
    (public,) = served.ask([asked], ["0,3"], tokens=4)
    assert (unnamed.num_cached_tokens, public.num_cached_tokens) == (0, 96)


def test_a_salt_of_the_client_separates_further(served: Served) -> None:
    asked = {"prompt_token_ids": prompt(601, length=100), "cache_salt": "mine"}
    other = asked | {"cache_salt": "yours"}
    cached = [served.ask([each], ["0,1"], tokens=1)[0].num_cached_tokens for each in (asked, other, asked)]
    assert cached == [0, 0, 96]
