"""From an expert's file to a merged checkpoint that plain transformers loads."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, MixtralForCausalLM
from transformers.models.mixtral.modeling_mixtral import MixtralTopKRouter

from services.model.flexolmo.anchor import WrongAnchor, load_anchor
from services.model.flexolmo.blocks import attach_expert
from services.model.flexolmo.corpus import read_documents
from services.model.flexolmo.expert import BrokenExpert, load_into, read_expert
from services.model.flexolmo.merge import merge
from services.model.flexolmo.train import Trained
from services.model.flexolmo.verify import verify


def logits(folder: Path, tokens: Tensor) -> Tensor:
    """What plain transformers computes in fp32 from a checkpoint."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    assert isinstance(model, MixtralForCausalLM)
    with torch.no_grad():
        out: Tensor = model(input_ids=tokens).logits
    return out


@pytest.fixture
def tokens() -> Tensor:
    return torch.randint(0, 257, (2, 40), generator=torch.Generator().manual_seed(3))


def test_the_public_expert_alone_is_the_dense_anchor(anchor: Path, tmp_path: Path, tokens: Tensor) -> None:
    merge(anchor, [], tmp_path / "m", k=2)
    with torch.no_grad():
        dense = load_anchor(anchor, torch.float32)(input_ids=tokens).logits
    torch.testing.assert_close(logits(tmp_path / "m", tokens), dense, atol=1e-3, rtol=0)


def test_one_owner_merged_is_the_model_that_owner_trained(
    anchor: Path, experts: dict[str, Path], tmp_path: Path, tokens: Tensor
) -> None:
    expert = read_expert(experts["harbour"])
    model = load_anchor(anchor, torch.float32)
    load_into(expert, attach_expert(model, expert.rank, seed=9))
    model.train(False)
    with torch.no_grad():
        trained = model(input_ids=tokens).logits
        public = load_anchor(anchor, torch.float32)(input_ids=tokens).logits
    merge(anchor, [experts["harbour"]], tmp_path / "m", k=2)
    merged = logits(tmp_path / "m", tokens)
    # The merged weights are rounded to bf16; the expert's effect is far above that.
    rounding = (merged - trained).abs().mean()
    assert rounding < 0.05 * (trained - public).abs().mean()


def test_leaving_an_owner_out_of_the_merge_is_masking_its_expert(
    anchor: Path, experts: dict[str, Path], tmp_path: Path, tokens: Tensor
) -> None:
    merge(anchor, list(experts.values()), tmp_path / "all", k=2)
    merge(anchor, [experts["harbour"]], tmp_path / "without", k=2)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "all", dtype=torch.float32)
    for layer in model.model.layers:
        router = layer.mlp.gate
        router.forward = lambda x, router=router: masked(router, x, off=2)
    with torch.no_grad():
        out = model(input_ids=tokens).logits
    torch.testing.assert_close(out, logits(tmp_path / "without", tokens), atol=1e-5, rtol=0)


def masked(router: MixtralTopKRouter, x: Tensor, off: int) -> tuple[Tensor, Tensor, Tensor]:
    """Mixtral's routing with one expert's logit at -inf, written independently of the product's mask."""
    rows = x.flatten(0, -2) @ router.weight.T
    rows[:, off] = float("-inf")
    weights, chosen = rows.softmax(-1).topk(2)
    return rows, weights / weights.sum(-1, keepdim=True), chosen


def test_the_checkpoint_names_its_experts_and_brings_its_tokenizer(
    anchor: Path, experts: dict[str, Path], tmp_path: Path
) -> None:
    out = merge(anchor, [experts["bakery"], experts["harbour"]], tmp_path / "m", k=2)
    card = json.loads((out / "candor.json").read_text())
    assert [expert["id"] for expert in card["experts"]] == ["public", "bakery", "harbour"]
    assert "owner" not in card["experts"][0]
    assert card["experts"][1]["owner"] == "bakery"
    assert card["experts"][1]["licence"] == "CC0-1.0"
    tokenizer = AutoTokenizer.from_pretrained(out)
    assert tokenizer.decode(tokenizer("Quay 7").input_ids) == "Quay 7"
    assert tokenizer.chat_template
    stored = load_file(out / "model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.bfloat16}


def test_k_is_what_was_asked_for_and_never_more_than_there_are_experts(
    anchor: Path, experts: dict[str, Path], tmp_path: Path
) -> None:
    for k, expected in ((1, 1), (3, 3), (9, 3)):
        out = merge(anchor, list(experts.values()), tmp_path / "m", k=k)
        assert json.loads((out / "config.json").read_text())["num_experts_per_tok"] == expected
    with pytest.raises(ValueError, match="at least 1"):
        merge(anchor, [], tmp_path / "m", k=0)


def test_an_expert_of_another_anchor_is_refused_by_the_name_of_a_tensor(
    other_anchor: Path, experts: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(WrongAnchor, match=r"harbour.*model\.embed_tokens\.weight"):
        merge(other_anchor, [experts["harbour"]], tmp_path / "m", k=2)
    assert not (tmp_path / "m").exists()
    with pytest.raises(WrongAnchor):
        verify(experts["harbour"], other_anchor)


def test_an_expert_verifies_against_its_own_anchor(anchor: Path, experts: dict[str, Path]) -> None:
    assert verify(experts["bakery"], anchor).owner == "bakery"


def test_one_owner_cannot_have_two_experts(anchor: Path, experts: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="one expert"):
        merge(anchor, [experts["harbour"]] * 2, tmp_path / "m", k=2)


def test_an_expert_file_round_trips_and_holds_no_text(
    texts: Path, trained: dict[str, Trained], experts: dict[str, Path]
) -> None:
    ours, file = trained["harbour"], experts["harbour"]
    expert = read_expert(file)
    assert (expert.owner, expert.licence, expert.rank, expert.layers) == ("harbour", "CC0-1.0", 4, 3)
    assert expert.anchor == ours.training.anchor
    assert expert.card["tokens"] == 20 * 2 * 32
    assert expert.card["documents"] == 18
    for i, layer in enumerate(ours.layers):
        assert torch.equal(expert.router(i), layer.router.detach().bfloat16().float())
        for name, delta in (("gate", layer.gate), ("up", layer.up), ("down", layer.down)):
            torch.testing.assert_close(expert.delta(i, name), delta.matrix(), atol=1e-3, rtol=0.02)
    words = read_documents(texts / "harbour", "train")[0].text.split()[:4]
    assert " ".join(words).encode() not in file.read_bytes()


def test_a_damaged_expert_is_refused(experts: dict[str, Path], tmp_path: Path) -> None:
    from safetensors import safe_open

    with safe_open(experts["harbour"], framework="pt") as stored:
        metadata = stored.metadata()
    tensors = load_file(experts["harbour"])
    file = tmp_path / "broken.safetensors"

    save_file({name: t for name, t in tensors.items() if name != "layers.1.up.b"}, file, metadata=metadata)
    with pytest.raises(BrokenExpert, match=r"lacks layers\.1\.up\.b"):
        read_expert(file)
    poisoned = tensors | {"layers.0.router": torch.full_like(tensors["layers.0.router"], float("nan"))}
    save_file(poisoned, file, metadata=metadata)
    with pytest.raises(BrokenExpert, match=r"layers\.0\.router .* not finite"):
        read_expert(file)
    save_file(tensors | {"lm_head.weight": torch.zeros(3)}, file, metadata=metadata)
    with pytest.raises(BrokenExpert, match=r"lm_head\.weight, which is no part"):
        read_expert(file)
    save_file(tensors | {"layers.0.up.b": torch.zeros(96, 5)}, file, metadata=metadata)
    with pytest.raises(BrokenExpert, match="not a rank 4 change"):
        read_expert(file)
    file.write_bytes(experts["harbour"].read_bytes()[:-100])
    with pytest.raises(BrokenExpert, match="not a whole safetensors file"):
        read_expert(file)
    save_file(tensors, file, metadata={key: value for key, value in metadata.items() if key != "owner"})
    with pytest.raises(BrokenExpert, match="does not say its owner"):
        read_expert(file)
    save_file(tensors, file, metadata={})
    with pytest.raises(BrokenExpert, match="not an expert file"):
        read_expert(file)
