"""Where an effect is certain: an expert that learnt a few texts by heart is caught, and is not once it is left out.

A tiny random model whose second expert alone is trained for many passes; scored by the engine as it is served.
"""

from random import Random
from typing import Any

import pytest
import torch
from torch.nn import functional

from services.evaluation.metrics import membership
from services.evaluation.statistics.separation import auc, two_groups
from services.model.engines.base import Score, ScoreTask
from services.model.engines.checkpoint import Checkpoint
from services.model.engines.transformers import Limits, TransformersEngine
from shared.contracts.evaluation import Estimate
from tests.unit.model.tiny import VOCABULARY, build, letters

COUNT, LENGTH = 12, 24
WITH, WITHOUT = frozenset({0, 1}), frozenset({0})

Tokens = tuple[int, ...]


def sequences(seed: int) -> list[Tokens]:
    random = Random(seed)
    return [tuple(random.randrange(3, VOCABULARY) for _ in range(LENGTH)) for _ in range(COUNT)]


def learn_by_heart(model: Any, texts: list[Tokens]) -> None:
    """Train the second expert's weights and router rows alone, over and over."""
    wanted = []
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(".mlp." in name)
        if parameter.requires_grad:
            # of these tensors, one row an expert, only the second's is changed
            parameter.register_hook(lambda grad: torch.cat([torch.zeros_like(grad[:1]), grad[1:]]))
            wanted.append(parameter)
    optimiser, tokens = torch.optim.Adam(wanted, lr=1e-2), torch.tensor(texts)
    for _ in range(150):
        logits = model(input_ids=tokens).logits[:, :-1]
        loss = functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()


@pytest.fixture(scope="module")
def areas() -> dict[str, dict[frozenset[int], Estimate]]:
    """The AUC of each attack by mask."""
    members, others, prefix = sequences(1), sequences(2), sequences(3)[0]
    model = build("mixtral", experts=2)
    learn_by_heart(model, members)
    engine = TransformersEngine(Checkpoint(model), letters, Limits(threads=1))
    texts = [*members, *others]

    def scored(mask: frozenset[int], given: list[Tokens]) -> list[Score]:
        return engine.score([ScoreTask(one, mask, own=True, gradient=True) for one in given]).result(240)

    try:
        reference = [membership.loss(one.logprobs) for one in scored(WITHOUT, texts)]
        found: dict[str, dict[frozenset[int], Estimate]] = {}
        for mask in (WITH, WITHOUT):
            after = [one.logprobs[-(LENGTH - 1) :] for one in scored(mask, [(*prefix, *text) for text in texts])]
            for attack, values in attacked(texts, scored(mask, texts), after, reference).items():
                groups = two_groups(values, [True] * COUNT + [False] * COUNT)
                assert groups is not None
                found.setdefault(attack, {})[mask] = auc(groups)
    finally:
        engine.close()
    return found


def attacked(
    texts: list[Tokens], scores: list[Score], after: list[list[float]], reference: list[float]
) -> dict[str, list[float]]:
    own = [membership.loss(one.logprobs) for one in scores]
    return {
        "loss": own,
        "reference": [membership.reference(*pair) for pair in zip(own, reference, strict=True)],
        "zlib": [membership.zlib_ratio(one.logprobs, letters(text)) for one, text in zip(scores, texts, strict=True)],
        "min_k": [membership.min_k(one.logprobs) for one in scores],
        "min_k_plus_plus": [
            membership.min_k_plus_plus(one.logprobs, one.own_means or [], one.own_variances or []) for one in scores
        ],
        "recall": [membership.recall(loss, membership.loss(late)) for loss, late in zip(own, after, strict=True)],
        "dc_pdd": [
            membership.dc_pdd(text[1:], one.logprobs, {}, 0, VOCABULARY)
            for text, one in zip(texts, scores, strict=True)
        ],
        "grad_norm": [one.gradient or 0.0 for one in scores],
    }


@pytest.mark.parametrize(
    "attack", ["loss", "reference", "zlib", "min_k", "min_k_plus_plus", "recall", "dc_pdd", "grad_norm"]
)
def test_an_expert_that_learnt_texts_by_heart_is_caught_until_it_is_left_out(
    areas: dict[str, dict[frozenset[int], Estimate]], attack: str
) -> None:
    found = areas[attack]
    assert found[WITH].mean > 0.95
    assert found[WITHOUT].low < 0.5 < found[WITHOUT].high or attack == "reference"
    # the reference is the model without the expert: there it says nothing at all
    assert attack != "reference" or found[WITHOUT].mean == 0.5
