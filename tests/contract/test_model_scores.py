"""Scores over HTTP are those of plain transformers on a model that has only the allowed experts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contract.model_support import EXPERTS, ready, tiny_app, tiny_checkpoint
from tests.unit.model.tiny import VOCABULARY, build, prune

NAMES: list[str] = [expert["id"] for expert in EXPERTS]
OWNED = NAMES[1:]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with (
        ready(tiny_app(tiny_checkpoint(tmp_path_factory.mktemp("tiny")))) as address,
        httpx.Client(base_url=address, timeout=60) as client,
    ):
        yield client


def scores(client: httpx.Client, **body: Any) -> dict[str, Any]:
    response = client.post("/v1/score", json=body)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


@torch.inference_mode()
def directly(tokens: list[int], mask: list[str]) -> tuple[list[float], list[float], list[float]]:
    """Log p of each token after the first, mean and variance of log p over the vocabulary, in plain transformers."""
    keep = sorted({0, *(NAMES.index(name) for name in mask)})
    model = prune("mixtral", build("mixtral"), keep)
    logprobs = model(torch.tensor([tokens])).logits[0, :-1].double().log_softmax(dim=-1)
    chosen = logprobs.gather(1, torch.tensor(tokens[1:]).unsqueeze(1)).squeeze(1)
    return chosen.tolist(), logprobs.mean(dim=-1).tolist(), logprobs.var(dim=-1, correction=0).tolist()


sequences = st.lists(st.integers(0, VOCABULARY - 1), min_size=2, max_size=24)
subsets = st.lists(st.sampled_from(OWNED), unique=True)


@settings(max_examples=12)
@given(batch=st.lists(st.tuples(sequences, subsets), min_size=1, max_size=4))
def test_each_text_is_scored_as_by_a_model_of_its_own_mask_alone(
    client: httpx.Client, batch: list[tuple[list[int], list[str]]]
) -> None:
    tokens, masks = [one for one, _ in batch], [mask for _, mask in batch]
    found = scores(client, tokens=tokens, masks=masks)
    assert set(found["candor"]["experts"]) == {"public"}.union(*masks)
    for score, sequence, mask in zip(found["data"], tokens, masks, strict=True):
        logprobs, means, variances = directly(sequence, mask)
        assert score["tokens"] == sequence
        assert score["logprobs"] == pytest.approx(logprobs, abs=1e-4)
        assert score["means"] == pytest.approx(means, abs=1e-4)
        assert score["variances"] == pytest.approx(variances, rel=1e-4, abs=1e-4)
        assert set(score["experts"]) == {"public", *mask}
        assert {name for name, share in score["routing"].items() if share} <= {"public", *mask}


def test_moments_and_gradient_are_told_when_asked_for_and_follow_the_mask(client: httpx.Client) -> None:
    sequence, masks = [5, 9, 200, 31, 9, 77, 5], [[], ["papers"]]
    body: dict[str, Any] = {"tokens": [sequence] * 2, "masks": masks}
    plain = scores(client, **body)["data"]
    found = scores(client, **body, own_moments=True, gradient_norm=True)["data"]
    for one, told, mask in zip(plain, found, masks, strict=True):
        assert (one["own_means"], one["own_variances"], one["gradient_norm"]) == (None, None, None)
        assert told["logprobs"] == pytest.approx(one["logprobs"], abs=1e-5)
        model = prune("mixtral", build("mixtral"), sorted({0, *(NAMES.index(name) for name in mask)}))
        given = torch.tensor([sequence])
        logits = model(input_ids=given).logits[0, :-1]
        logprobs = logits.detach().double().log_softmax(dim=-1)
        means = (logprobs.exp() * logprobs).sum(dim=-1)
        variances = (logprobs.exp() * logprobs.square()).sum(dim=-1) - means.square()
        assert told["own_means"] == pytest.approx(means.tolist(), abs=1e-4)
        assert told["own_variances"] == pytest.approx(variances.tolist(), rel=1e-3)
        torch.autograd.backward(torch.nn.functional.cross_entropy(logits, given[0, 1:]))
        outside = [one.grad for name, one in model.named_parameters() if ".mlp." not in name]
        norm = float(torch.stack([one.square().sum() for one in outside]).sum().sqrt())
        assert told["gradient_norm"] == pytest.approx(norm, rel=1e-4)
    assert found[0]["gradient_norm"] != pytest.approx(found[1]["gradient_norm"], rel=1e-3)


def test_one_mask_for_all_is_the_same_mask_for_each(client: httpx.Client) -> None:
    texts = ["the owner leaves", "a lamp", "naïve ☕"]
    one = scores(client, texts=texts, experts=["papers", "python"])
    each = scores(client, texts=texts, masks=[["python", "papers"]] * 3)
    named = scores(client, texts=texts, model="candor+papers+python")
    assert one["data"] == each["data"] == named["data"]
    assert one["candor"] == each["candor"]


def test_a_text_of_one_token_has_a_mask_and_no_scores(client: httpx.Client) -> None:
    (alone,) = scores(client, tokens=[[5]])["data"]
    assert (alone["tokens"], alone["logprobs"], alone["means"], alone["variances"]) == ([5], [], [], [])
    assert alone["experts"] == ["public"]
    batched = scores(client, tokens=[[5], [5, 6, 7]])["data"]
    assert batched[0] == alone


@pytest.mark.parametrize(
    ("body", "status", "field", "said"),
    [
        ({"texts": []}, 422, "texts", "at least 1"),
        ({"texts": [""]}, 422, "texts.0", "no token"),
        ({"tokens": [[5], []]}, 422, "tokens.1", "no token"),
        ({"tokens": [[5], [VOCABULARY]]}, 422, "tokens.1", str(VOCABULARY)),
        ({"tokens": [[-1]]}, 422, "tokens.0", "-1"),
        ({"tokens": [[5] * 641]}, 422, "tokens.0", "641"),
        ({"texts": ["a"], "tokens": [[5]]}, 422, None, "either"),
        ({}, 422, None, "either"),
        ({"texts": ["\ud800"]}, 422, "texts.0", "surrogate"),
        ({"tokens": [[5]] * 1025}, 422, "tokens", "1024"),
        ({"tokens": [[5] * 640] * 205}, 422, "tokens", "131,072"),
        ({"tokens": [[5]], "experts": ["papers"], "masks": [["papers"]]}, 422, None, "either"),
        ({"tokens": [[5]], "masks": []}, 422, None, "0 masks for 1"),
        ({"tokens": [[5]], "masks": [["poets"]]}, 404, "masks.0", "poets"),
        ({"tokens": [[5]], "experts": ["poets"]}, 404, "experts", "poets"),
        ({"tokens": [[5]], "model": "candor+poets"}, 404, "model", "poets"),
        ({"tokens": [[5]], "model": "candor+papers", "masks": [[]]}, 422, "masks.0", "Name them once"),
    ],
)
def test_what_cannot_be_scored_is_refused_by_name(
    *, client: httpx.Client, body: dict[str, Any], status: int, field: str | None, said: str
) -> None:
    response = client.post("/v1/score", content=json.dumps(body), headers={"content-type": "application/json"})
    problem = response.json()
    assert (response.status_code, problem["field"]) == (status, field), problem
    assert said in problem["detail"]


def test_more_scoring_jobs_than_may_wait_are_told_to_try_again(client: httpx.Client) -> None:
    body = {"tokens": [[5] * 640] * 8}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.post("/v1/score", json=body), range(8)))
    assert {answer.status_code for answer in answers} == {200, 429}
    assert int(next(answer for answer in answers if answer.status_code == 429).headers["retry-after"]) >= 1
