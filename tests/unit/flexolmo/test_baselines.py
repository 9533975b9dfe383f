"""The compared models against direct computations: the mixture, the weight average, the ensembles."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from services.model.flexolmo.anchor import load_anchor
from services.model.flexolmo.baselines import averaged
from services.model.flexolmo.ensemble import mean_of_models, posterior_weighted
from services.model.flexolmo.expert import Expert, read_expert
from services.model.flexolmo.families import CausalLM
from services.model.flexolmo.likelihood import target_logprobs
from services.model.flexolmo.merge import merge
from services.model.flexolmo.mixture import attach_mixture


@pytest.fixture(scope="module")
def files(experts: dict[str, Path]) -> list[Path]:
    return list(experts.values())


@pytest.fixture(scope="module")
def wide(anchor: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same anchor stored in fp32, whose merges are not rounded."""
    folder = tmp_path_factory.mktemp("wide")
    load_anchor(anchor, torch.float32).save_pretrained(folder)
    return folder


def sequences() -> list[Tensor]:
    generator = torch.Generator().manual_seed(3)
    return [torch.randint(0, 257, (length,), generator=generator) for length in (40, 17, 40, 2)]


@pytest.mark.parametrize("k", [1, 2, 3, 9])
def test_the_mixture_computes_what_transformers_computes_from_the_merged_checkpoint(
    wide: Path, files: list[Path], k: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from services.model.flexolmo import merge as module

    # the experts were trained on the same weights in bf16: the file differs, the numbers do not
    monkeypatch.setattr(module, "check_anchor", lambda *_: None)
    folder = merge(wide, files, tmp_path / "m", k=k)
    model = load_anchor(wide, torch.float32)
    attach_mixture(model, [read_expert(file) for file in files], k)
    with torch.no_grad():
        for tokens in sequences():
            expected = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)(input_ids=tokens[None]).logits
            torch.testing.assert_close(model(input_ids=tokens[None]).logits, expected, atol=1e-4, rtol=1e-4)


def test_the_weight_average_is_the_mean_of_the_experts_ffns(anchor: Path, files: list[Path]) -> None:
    model = averaged(anchor, [read_expert(file) for file in files])
    public = load_anchor(anchor)
    for i, layer in enumerate(model.model.layers):
        for name in ("gate", "up", "down"):
            weight = getattr(public.model.layers[i].mlp, f"{name}_proj").weight.double()
            parts = [weight + (read_expert(file).delta(i, name)).double() for file in files]
            got = getattr(layer.mlp, f"{name}_proj").weight
            torch.testing.assert_close(got.double(), sum(parts) / 2, atol=1e-3, rtol=0.01)
    shared = {name for name, w in public.state_dict().items() if torch.equal(w, model.state_dict()[name])}
    assert all(".mlp." in name for name in public.state_dict().keys() - shared)
    assert not any(".mlp." in name for name in shared)


def test_target_logprobs_are_those_of_each_sequence_on_its_own(anchor: Path) -> None:
    model = load_anchor(anchor, torch.float32)
    for got, tokens in zip(target_logprobs(model, sequences(), batch=3), sequences(), strict=True):
        with torch.no_grad():
            expected = model(input_ids=tokens[None]).logits[0, :-1].log_softmax(-1)
        direct = expected.gather(-1, tokens[1:, None]).squeeze(-1)
        np.testing.assert_allclose(got, direct.numpy(), atol=1e-4)


def alone(anchor: Path, expert: Expert) -> CausalLM:
    model = load_anchor(anchor, torch.float32)
    attach_mixture(model, [expert], k=2)
    return model


def probabilities(models: Sequence[CausalLM], tokens: Tensor) -> Tensor:
    """(models, tokens - 1, vocabulary): next-token distributions."""
    with torch.no_grad():
        return torch.stack([model(input_ids=tokens[None]).logits[0, :-1].softmax(-1) for model in models])


def test_the_ensemble_predicts_the_mean_of_the_models_probabilities(anchor: Path, files: list[Path]) -> None:
    models = [alone(anchor, read_expert(file)) for file in files]
    each = [target_logprobs(model, sequences()) for model in models]
    for i, (got, tokens) in enumerate(zip(mean_of_models(each), sequences(), strict=True)):
        mean = probabilities(models, tokens).mean(0)
        direct = mean.gather(-1, tokens[1:, None]).squeeze(-1).log()
        np.testing.assert_allclose(got, direct.numpy(), atol=1e-4, err_msg=str(i))


def test_the_weighted_ensemble_weighs_each_model_by_how_it_predicted_the_text_so_far(
    anchor: Path, files: list[Path]
) -> None:
    models = [alone(anchor, read_expert(file)) for file in files]
    each = [target_logprobs(model, sequences()) for model in models]
    for got, tokens in zip(posterior_weighted(each), sequences(), strict=True):
        distributions = probabilities(models, tokens)
        weights = torch.full((len(models),), 1 / len(models), dtype=torch.float64)
        for place, target in enumerate(tokens[1:]):
            likelihood = distributions[:, place, target].double()
            assert got[place] == pytest.approx(torch.log(weights @ likelihood).item(), abs=1e-4)
            weights = weights * likelihood / (weights @ likelihood)
