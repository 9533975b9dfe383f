"""The embedded model in fp32: masking an expert is removing it, in one batch with others, for samples and beams."""

import copy
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from services.model.engines.tokenizer import Tokenizer
from services.model.flexolmo.build import ensure_merged
from services.model.flexolmo.mask import ExpertMask, install
from tests.unit.model.tiny import allow

TEXTS = (
    "A randomised trial of aspirin in patients with chest pain found",
    "def first(items):\n    return items[0] if items else None\n\n\ndef last",
    "The keeper wrote every evening what the sea had brought, and in",
)
LENGTH = 11
HOW: dict[str, dict[str, Any]] = {
    "beams": {"num_beams": 3, "num_return_sequences": 2, "do_sample": False},
    "samples": {"num_return_sequences": 2, "do_sample": True},
}


@pytest.fixture(scope="module")
def model(candor_home: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(ensure_merged(candor_home), dtype=torch.float32)


@pytest.fixture(scope="module")
def tokens(candor_home: Path) -> Tensor:
    tokenizer = Tokenizer.load(ensure_merged(candor_home))
    return torch.tensor([tokenizer.encode(text)[:LENGTH] for text in TEXTS])


@pytest.fixture(scope="module")
def mask(model: Any) -> ExpertMask:
    return install(model)


def pruned(model: Any, keep: Iterable[int]) -> Any:
    """A new model with only these experts' weights in it, with k = min(k, kept), by plain transformers."""
    kept, config = sorted(keep), copy.deepcopy(model.config)
    config.num_local_experts, config.num_experts_per_tok = len(kept), min(config.num_experts_per_tok, len(kept))
    with torch.device("meta"):
        smaller: Any = AutoModelForCausalLM.from_config(config, dtype=torch.float32)  # type: ignore[no-untyped-call]
    state = {
        name: tensor[kept] if ".experts." in name or name.endswith("mlp.gate.weight") else tensor
        for name, tensor in model.state_dict().items()
    }
    smaller.to_empty(device="cpu").load_state_dict(state)
    # what is computed from the configuration is in no state dict
    smaller.model.rotary_emb = copy.deepcopy(model.model.rotary_emb)
    return smaller.eval()


def logits(model: Any, mask: ExpertMask, tokens: Tensor, allowed: Tensor) -> Tensor:
    with torch.no_grad(), mask.over(mask.rows(allowed, tokens.shape[1])):
        found: Tensor = model(input_ids=tokens).logits
    return found


def generated(model: Any, tokens: Tensor, how: str) -> list[list[int]]:
    torch.manual_seed(3)
    found: Tensor = model.generate(tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=4, **HOW[how])
    return found.tolist()


@pytest.mark.parametrize("kept", [{0}, {0, 2}, {0, 1, 3}])
def test_a_masked_expert_is_a_removed_expert(model: Any, mask: ExpertMask, tokens: Tensor, kept: set[int]) -> None:
    smaller = pruned(model, kept)
    with torch.no_grad():
        expected = smaller(input_ids=tokens).logits
    assert float((logits(model, mask, tokens, allow(kept, kept, kept)) - expected).abs().max()) == 0
    for how in HOW:
        with mask.sequences(allow(kept, kept, kept)):
            assert generated(model, tokens, how) == generated(smaller, tokens, how)


def test_sequences_of_one_batch_are_masked_each_by_its_own_mask(model: Any, mask: ExpertMask, tokens: Tensor) -> None:
    masks = ({0}, {0, 1, 3}, {2})
    together = logits(model, mask, tokens, allow(*masks))
    for row, own in enumerate(masks):
        alone = logits(model, mask, tokens[row : row + 1], allow(own))[0]
        torch.testing.assert_close(together[row], alone, rtol=1e-3, atol=1e-3)


def test_an_expert_of_nan_that_is_masked_changes_nothing(model: Any, mask: ExpertMask, tokens: Tensor) -> None:
    masks = allow({0}, {0, 1}, {2})
    before = logits(model, mask, tokens, masks)
    with mask.sequences(masks):
        beams = generated(model, tokens, "beams")
    with poisoned(model, 3):
        assert torch.equal(logits(model, mask, tokens, masks), before)
        with mask.sequences(masks):
            assert generated(model, tokens, "beams") == beams
        # ... which says something, because where it is allowed the poison shows
        assert logits(model, mask, tokens, allow({0}, {0, 1}, {3}))[2].isnan().all()


@contextmanager
def poisoned(model: Any, expert: int) -> Iterator[None]:
    """Everything of an expert is NaN, its router rows too."""
    healthy = {
        name: parameter.data[expert].clone()
        for name, parameter in model.named_parameters()
        if ".experts." in name or name.endswith("mlp.gate.weight")
    }
    parameters = dict(model.named_parameters())
    try:
        for name in healthy:
            parameters[name].data[expert] = float("nan")
        yield
    finally:
        for name, values in healthy.items():
            parameters[name].data[expert] = values
