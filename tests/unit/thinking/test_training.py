"""Training the adapter and building its model, on a tiny random anchor."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from services.model.engines.tokenizer import Tokenizer
from services.model.flexolmo.anchor import WrongAnchor, load_anchor
from services.model.flexolmo.checkpoint import OtherTraining
from services.model.thinking.adapter import attach, read
from services.model.thinking.build import write_thinking
from services.model.thinking.examples import CLOSED, CLOSING, OPENING, Examples, batches, prompt_tokens
from services.model.thinking.problems import problems
from services.model.thinking.template import TEMPLATE, thinking_tokenizer
from services.model.thinking.train import Progress, Settings, train
from tests.unit.flexolmo.conftest import make_anchor

SETTINGS = Settings(rank=2, first_layer=1, steps=24, problems=2, learning_rate=1e-2)


@pytest.fixture(scope="module")
def anchor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_anchor(tmp_path_factory.mktemp("anchor"), seed=0)


@pytest.fixture(scope="module")
def adapter(anchor: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adapter")
    return train(anchor, folder / "a.safetensors", folder / "a.training", SETTINGS)


def test_a_prefilled_block_is_the_tokens_that_were_taught(candor_home: Path) -> None:
    tokenizer = thinking_tokenizer(candor_home / "models" / "smollm2-135m-instruct")
    problem = next(problems("a", "train"))
    taught = Examples(tokenizer, 0, 1).thinking(problem)
    opened = prompt_tokens(tokenizer, problem.question, OPENING)
    assert list(taught.tokens[: len(opened)]) == opened
    # as a gateway closes a block that its budget cut: it writes the whole turn anew
    steps = OPENING + "\n".join(problem.steps) + CLOSING
    whole = prompt_tokens(tokenizer, problem.question, steps)
    assert list(taught.tokens[: len(whole)]) == whole


def test_every_problem_of_a_step_comes_once_with_its_steps_and_once_after_a_block_that_is_closed(anchor: Path) -> None:
    tokenizer = thinking_tokenizer(anchor)
    examples = Examples(tokenizer, seed=0, count=20).step(3)
    for thought, closed in zip(examples[:20], examples[20:], strict=True):
        question, begun = (tokenizer.decode(one.tokens[: one.own]) for one in (thought, closed))
        learnt, answer = (tokenizer.decode(one.tokens[one.own :], special=True) for one in (thought, closed))
        assert begun.startswith(question)
        assert learnt.startswith(OPENING)
        assert learnt.endswith(answer)
        assert answer.endswith("}.<|endoftext|>")
        written = begun.removeprefix(question)
        assert written in CLOSED or learnt.startswith(written.removesuffix(CLOSING))
    assert any("finished thinking" in tokenizer.decode(one.tokens) for one in examples[20:])


def test_batches_hold_every_token_once_and_mark_those_that_are_learnt(anchor: Path) -> None:
    examples = Examples(thinking_tokenizer(anchor), seed=0, count=5).step(0)
    rows = [
        (tuple(row[: len(chosen.nonzero()) and int(chosen.nonzero()[-1]) + 1].tolist()), int(chosen.nonzero()[0]))
        for tokens, learnt in batches(examples, 4)
        for row, chosen in zip(tokens, learnt, strict=True)
    ]
    assert sorted(rows) == sorted((example.tokens, example.own) for example in examples)


def test_training_lowers_the_loss_and_a_killed_one_resumes_to_the_same_weights(
    anchor: Path, adapter: Path, tmp_path: Path
) -> None:
    def stop(now: Progress) -> None:
        if now.step == 20:
            raise KeyboardInterrupt

    card = read(adapter, anchor).card
    assert card["settings"]["steps"] == 24
    assert card["last_loss"] < card["first_loss"]
    with pytest.raises(KeyboardInterrupt):
        train(anchor, tmp_path / "b.safetensors", tmp_path / "b.training", SETTINGS, stop)
    resumed = train(anchor, tmp_path / "b.safetensors", tmp_path / "b.training", SETTINGS)
    first, second = load_file(adapter), load_file(resumed)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(name.endswith("q_proj.b") and tensor.any() for name, tensor in first.items())
    assert not any(name.startswith("model.layers.0.") for name in first)
    with pytest.raises(OtherTraining, match="seed"):
        train(anchor, tmp_path / "c.safetensors", tmp_path / "b.training", replace(SETTINGS, seed=1))


def test_a_training_can_be_given_other_steps_until_its_learning_rate_falls(anchor: Path, tmp_path: Path) -> None:
    def stop(now: Progress) -> None:
        if now.step == 10:
            raise KeyboardInterrupt

    longer, fewer = replace(SETTINGS, steps=40), replace(SETTINGS, steps=14)
    with pytest.raises(KeyboardInterrupt):
        train(anchor, tmp_path / "a.safetensors", tmp_path / "a.training", longer, stop)
    shortened = train(anchor, tmp_path / "a.safetensors", tmp_path / "a.training", fewer)
    whole = train(anchor, tmp_path / "b.safetensors", tmp_path / "b.training", fewer)
    first, second = load_file(shortened), load_file(whole)
    assert all(torch.equal(first[name], second[name]) for name in first)
    with pytest.raises(OtherTraining, match="steps"):
        train(anchor, tmp_path / "a.safetensors", tmp_path / "a.training", longer)


def test_the_built_model_computes_what_the_anchor_with_the_adapter_does(
    anchor: Path, adapter: Path, tmp_path: Path
) -> None:
    built = write_thinking(anchor, adapter, tmp_path / "built")
    tokens = torch.randint(1, 257, (2, 40), generator=torch.Generator().manual_seed(0))
    with_adapter = load_anchor(anchor, torch.float32)
    changes = attach(with_adapter, SETTINGS.rank, 5, SETTINGS.first_layer)
    stored = read(adapter, anchor).tensors
    for name, change in changes.items():
        change.a.data, change.b.data = stored[f"{name}.a"].float(), stored[f"{name}.b"].float()
    model = AutoModelForCausalLM.from_pretrained(built, dtype=torch.float32)
    with torch.no_grad():
        ours, expected = model(input_ids=tokens).logits, with_adapter(input_ids=tokens).logits
        untouched = load_anchor(anchor, torch.float32)(input_ids=tokens).logits
    # the sums were rounded to bf16
    assert (ours - expected).abs().max() < 0.1 * (untouched - expected).abs().max()
    assert Tokenizer.load(built).template == TEMPLATE
    assert [one["id"] for one in json.loads((built / "candor.json").read_text())["experts"]] == ["public"]
    assert not list(tmp_path.glob("*.part"))


def test_an_adapter_of_another_anchor_is_refused(adapter: Path, tmp_path: Path) -> None:
    other = make_anchor(tmp_path / "other", seed=1)
    with pytest.raises(WrongAnchor, match="another anchor"):
        write_thinking(other, adapter, tmp_path / "built")
    assert not (tmp_path / "built").exists()
