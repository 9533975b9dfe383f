"""Every family of anchors, from training to a merged checkpoint, with low-rank and with full experts."""

import json
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from services.model.flexolmo.anchor import load_anchor
from services.model.flexolmo.blocks import attach_expert
from services.model.flexolmo.expert import Expert, load_into, read_expert
from services.model.flexolmo.export import export
from services.model.flexolmo.families import FAMILIES, UnsupportedAnchor
from services.model.flexolmo.mask import install
from services.model.flexolmo.merge import merge
from services.model.flexolmo.train import train
from services.model.flexolmo.training import Settings
from services.model.flexolmo.verify import verify
from tests.unit.flexolmo.conftest import make_anchor

TOKENS = torch.randint(0, 257, (2, 40), generator=torch.Generator().manual_seed(3))
OWNERS = ("harbour", "bakery")
MERGED = {
    "llama": "MixtralForCausalLM",
    "olmo2": "FlexOlmoForCausalLM",
    "mixtral": "MixtralForCausalLM",
    "olmoe": "OlmoeForCausalLM",
    "flex_olmo": "FlexOlmoForCausalLM",
}


class Made:
    """An anchor of a family, and two owners' experts trained on it, as files."""

    def __init__(self, family: str, rank: int | None, folder: Path, texts: Path, settings: Settings) -> None:
        self.family, self.folder = FAMILIES[family], folder
        self.anchor = make_anchor(folder / "anchor", seed=0, family=family)
        budget = replace(settings, rank=rank, steps=12, learning_rate=1e-2 if rank else 2e-3)
        self.trained = {
            owner: train(
                owner,
                anchor=self.anchor,
                texts=texts / owner,
                public=texts / "public",
                resume=folder / f"{owner}.training",
                settings=budget,
            )
            for owner in OWNERS
        }
        self.files = {owner: export(self.trained[owner], folder / f"{owner}.safetensors") for owner in OWNERS}

    @property
    def experts(self) -> int:
        """How many experts are the anchor's own."""
        return self.family.experts(load_anchor(self.anchor).config)

    def merge(self, *owners: str, k: int | None = None) -> Path:
        """Merge these owners' experts, once for all tests: a merge is only read."""
        folder = self.folder / "-".join(("m", *owners, str(k)))
        return folder if folder.exists() else merge(self.anchor, [self.files[owner] for owner in owners], folder, k)


@pytest.fixture(scope="module", params=list(product(FAMILIES, [4, None])), ids=lambda param: f"{param[0]}-{param[1]}")
def made(
    request: pytest.FixtureRequest, texts: Path, settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Made:
    family, rank = request.param
    return Made(family, rank, tmp_path_factory.mktemp(f"{family}-{rank}"), texts, settings)


def load(folder: Path) -> Any:
    """Plain transformers, fp32."""
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def logits(model: Any, off: set[int] | None = None) -> Tensor:
    """The model's own logits, or those it has with the experts in ``off`` masked."""
    with torch.no_grad():
        if off is None:
            plain: Tensor = model(input_ids=TOKENS).logits
            return plain
        mask = install(model)
        allowed = torch.ones(len(TOKENS), mask.experts, dtype=torch.bool)
        allowed[:, sorted(off)] = False
        with mask.over(mask.rows(allowed, TOKENS.shape[1])):
            masked: Tensor = model(input_ids=TOKENS).logits
        return masked


def test_every_shared_weight_and_public_router_row_is_bit_equal_after_training(made: Made) -> None:
    before = load_anchor(made.anchor).state_dict()
    after = made.trained["harbour"].model.state_dict()
    kept = {name.replace(".mlp.public.", ".mlp."): weight for name, weight in after.items()}
    assert all(torch.equal(before[name], kept[name]) for name in before)
    for layer in made.trained["harbour"].layers:
        assert all(delta.matrix().abs().max() > 0 for delta in (layer.gate, layer.up, layer.down))


def test_training_lowers_the_loss(made: Made) -> None:
    for trained in made.trained.values():
        assert sum(trained.losses[-3:]) < sum(trained.losses[:3]) * 0.99


def test_an_expert_verifies_against_its_anchor_and_says_what_it_is(made: Made) -> None:
    expert = verify(made.files["harbour"], made.anchor)
    assert (expert.architecture, expert.layers, expert.hidden, expert.width) == (made.family.model_type, 3, 48, 96)
    assert len(expert.base) == 3
    assert max(expert.base) < made.experts


def test_the_merge_is_of_a_class_that_transformers_and_vllm_know(made: Made) -> None:
    folder = made.merge(*OWNERS, k=2)
    config = json.loads((folder / "config.json").read_text())
    assert config["architectures"] == [MERGED[made.family.model_type]]
    model = load(folder)
    assert type(model).__name__ == MERGED[made.family.model_type]
    assert (model.config.num_local_experts, model.config.num_experts_per_tok) == (made.experts + 2, 2)
    card = json.loads((folder / "candor.json").read_text())
    ids = [expert["id"] for expert in card["experts"]]
    assert ids == ["public", *(f"public-{i}" for i in range(1, made.experts)), *OWNERS]
    assert [expert.get("public", False) for expert in card["experts"]] == [True] * made.experts + [False] * 2
    with torch.no_grad():
        assert model.generate(TOKENS[:1], max_new_tokens=3, do_sample=False).shape[1] > TOKENS.shape[1]


def test_no_expert_merged_and_every_owner_masked_are_the_anchor(made: Made) -> None:
    anchor = logits(load(made.anchor))
    assert float((logits(load(made.merge())) - anchor).abs().max()) == 0
    owned = {made.experts, made.experts + 1}
    assert float((logits(load(made.merge(*OWNERS)), off=owned) - anchor).abs().max()) == 0


@pytest.mark.parametrize("k", [1, 2, 9])
@pytest.mark.parametrize(("kept", "out"), [("harbour", 1), ("bakery", 0)])
def test_a_merge_without_an_owner_is_bit_equal_to_the_merge_with_the_owner_masked(
    made: Made, k: int, kept: str, out: int
) -> None:
    masked = logits(load(made.merge(*OWNERS, k=k)), off={made.experts + out})
    assert torch.equal(masked, logits(load(made.merge(kept, k=k))))
    # ... which says something, because the owner does make a difference.
    assert not torch.equal(masked, logits(load(made.merge(*OWNERS, k=k))))


def test_a_merge_keeps_what_is_the_anchor_s_bit_for_bit(made: Made) -> None:
    anchor = load_file(made.anchor / "model.safetensors")
    merged = load_file(made.merge(*OWNERS) / "model.safetensors")
    form = made.family.form
    for name, tensor in anchor.items():
        if name.endswith(".gate.weight"):
            assert torch.equal(merged[name][: made.experts], tensor)
        elif made.family.dense and ".mlp." in name:
            layer, projection = int(name.split(".")[2]), name.split(".")[-2].removesuffix("_proj")
            assert torch.equal(merged[form.weight(layer, 0, projection)], tensor)
        else:
            assert torch.equal(merged[name], tensor)


def test_one_owner_merged_is_the_model_that_owner_trained(made: Made) -> None:
    expert = read_expert(made.files["harbour"])
    model: Any = load_anchor(made.anchor, torch.float32)
    load_into(expert, attach_expert(model, expert.rank, seed=9, base=expert.base))
    trained, anchor = logits(model), logits(load(made.anchor))
    # The merged weights are rounded to bf16, which may change which expert a token goes to: compare the most.
    rounding = (logits(load(made.merge("harbour"))) - trained).abs().median()
    assert rounding < 0.1 * (trained - anchor).abs().median()


def test_the_owner_s_expert_starts_as_the_one_its_text_is_routed_to_most(
    texts: Path, settings: Settings, tmp_path: Path
) -> None:
    anchor = make_anchor(tmp_path / "anchor", seed=5, family="olmoe")
    untrained = replace(settings, learning_rate=0.0, steps=1)
    trained = train(
        "harbour",
        anchor=anchor,
        texts=texts / "harbour",
        public=texts / "public",
        resume=tmp_path / "c",
        settings=untrained,
    )
    expert: Expert = read_expert(export(trained, tmp_path / "e.safetensors"))
    assert trained.training.base == expert.base
    assert len(set(expert.base)) > 1
    merged = load_file(merge(anchor, [tmp_path / "e.safetensors"], tmp_path / "m") / "model.safetensors")
    for layer, base in enumerate(expert.base):
        for name in ("gate_proj", "up_proj", "down_proj"):
            experts = f"model.layers.{layer}.mlp.experts"
            assert torch.equal(merged[f"{experts}.4.{name}.weight"], merged[f"{experts}.{base}.{name}.weight"])
        rows = merged[f"model.layers.{layer}.mlp.gate.weight"].float()
        torch.testing.assert_close(rows[4], rows[base] + expert.router(layer), atol=0.05, rtol=0.01)


@pytest.mark.parametrize(
    ("changes", "said"), [({"mlp_bias": True}, "mlp_bias"), ({"hidden_act": "gelu"}, "gelu"), (None, "gpt2 model")]
)
def test_an_anchor_that_cannot_become_a_mixture_is_refused_by_what_it_has(
    changes: dict[str, Any] | None, said: str, tmp_path: Path
) -> None:
    if changes is None:
        GPT2LMHeadModel(GPT2Config(n_embd=8, n_layer=1, n_head=2, vocab_size=9)).save_pretrained(tmp_path)
    else:
        sizes: dict[str, Any] = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "vocab_size": 9}
        LlamaForCausalLM(LlamaConfig(num_attention_heads=2, **sizes, **changes)).save_pretrained(tmp_path)
    with pytest.raises(UnsupportedAnchor, match=said):
        merge(tmp_path, [], tmp_path / "m")
    with pytest.raises(UnsupportedAnchor, match=said):
        load_anchor(tmp_path)
