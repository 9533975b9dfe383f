"""trl's GRPO, as it is set here, against a direct computation; and trainings that are killed and go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from services.evaluation.grpo.data import problems
from services.evaluation.grpo.run import AnotherTraining, run
from services.evaluation.grpo.settings import Training
from services.evaluation.grpo.trainer import rows, trainer
from services.evaluation.grpo.watch import Watch
from tests.unit.grpo.tiny_support import tiny_model, tiny_training


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("tiny"))


def ready(training: Training, folder: Path) -> Any:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    network = AutoModelForCausalLM.from_pretrained(training.model, dtype="float32")
    tokenizer = AutoTokenizer.from_pretrained(training.model, padding_side="left")
    found = problems(training, "train", folder)
    data = rows(training, found, {})
    watch = Watch(training, found[:2], tokenizer, folder / "sheets.jsonl")
    grpo: Any = trainer(training, network, tokenizer, data=data, watch=watch, folder=folder / "checkpoints")
    grpo.model.train()
    # the loop sets it
    grpo.current_gradient_accumulation_steps = 1
    return grpo


def batch(grpo: Any, training: Training) -> dict[str, Any]:
    """A rollout, generated and scored: 4 samples of each of 4 problems."""
    asked = [grpo.train_dataset[at // training.budget.samples] for at in range(16)]
    scored: dict[str, Any] = grpo._generate_and_score_completions(asked)
    return scored


def log_probabilities(grpo: Any, inputs: dict[str, Any]) -> torch.Tensor:
    """Of each token of the completions, (responses, tokens), from the model's plain logits."""
    ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], 1)
    mask = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], 1)
    logits = grpo.model(input_ids=ids, attention_mask=mask).logits
    every = torch.log_softmax(logits[:, :-1].double(), -1)
    width = inputs["completion_ids"].shape[1]
    return every.gather(2, ids[:, 1:, None]).squeeze(2)[:, -width:]


def test_advantages_are_the_rewards_less_their_group_s_mean_over_its_deviation(model: Path, tmp_path: Path) -> None:
    training = tiny_training(model, "random")
    grpo = ready(training, tmp_path)
    scored = batch(grpo, training)
    rewards = torch.tensor([*grpo._logs["rewards"]["rewarded"]]).view(4, 4)
    assert {*rewards.flatten().tolist()} == {0.0, 1.0}
    mean = rewards.mean(1, keepdim=True)
    deviation = ((rewards - mean).square().sum(1, keepdim=True) / 3).sqrt()
    # the paper adds 1e-9 where trl adds 1e-4
    assert torch.allclose(scored["advantages"].view(4, 4), (rewards - mean) / (deviation + 1e-9), rtol=1e-3)


@pytest.mark.parametrize("clip", [0.2, 0.05, None])
def test_the_loss_is_the_mean_over_responses_of_the_clipped_surrogate_s_mean_over_tokens(
    model: Path, tmp_path: Path, clip: float | None
) -> None:
    training = tiny_training(model, "random", clip=clip)
    grpo = ready(training, tmp_path)
    scored = batch(grpo, training)
    now = log_probabilities(grpo, scored)
    torch.manual_seed(5)
    # as if the weights had changed since the rollout
    scored["old_per_token_logps"] = (now.detach() + 0.3 * torch.randn_like(now)).float()
    ratio = torch.exp(now - scored["old_per_token_logps"].double())
    advantage = scored["advantages"].double()[:, None]
    surrogate = ratio * advantage
    if clip is not None:
        surrogate = torch.minimum(surrogate, ratio.clamp(1 - clip, 1 + clip) * advantage)
    mask = scored["completion_mask"].double()
    direct = -((surrogate * mask).sum(1) / mask.sum(1)).mean()
    found = grpo._compute_loss(grpo.model, scored)
    assert found.item() == pytest.approx(direct.item(), rel=1e-4, abs=1e-6)
    parameters = list(grpo.model.parameters())
    for one, other in zip(torch.autograd.grad(direct, parameters), torch.autograd.grad(found, parameters), strict=True):
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-5)


def test_with_one_update_a_rollout_nothing_is_clipped_and_with_several_something_is(
    model: Path, tmp_path: Path
) -> None:
    on_policy = run(tiny_training(model, "random", updates=1), tmp_path / "one", tmp_path)
    several = run(tiny_training(model, "random", updates=4), tmp_path / "four", tmp_path)
    assert [line["clip_ratio/region_mean"] for line in on_policy.log] == [0.0] * 6
    assert max(line["clip_ratio/region_mean"] for line in several.log) > 0
    unbounded = run(tiny_training(model, "random", updates=4, clip=None), tmp_path / "free", tmp_path)
    assert {line["clip_ratio/region_mean"] for line in unbounded.log} == {0.0}
    assert len({on_policy.weights, several.weights, unbounded.weights}) == 3


def test_a_training_that_is_killed_goes_on_to_the_same_weights(model: Path, tmp_path: Path) -> None:
    training = tiny_training(model, "majority and random")
    whole = run(training, tmp_path / "whole", tmp_path)
    assert (whole.resumed, [sheet.step for sheet in whole.sheets]) == (0, [0, 4, 8, 12])

    folder = tmp_path / "killed"
    (tmp_path / "settings.json").write_text(training.model_dump_json())
    command = [sys.executable, "-m", "services.evaluation.grpo", "train", str(tmp_path / "settings.json")]
    process = subprocess.Popen([*command, "--out", str(folder)], env={**os.environ, "CANDOR_HOME": str(tmp_path)})
    until = time.monotonic() + 240
    while not list(folder.glob("checkpoints/checkpoint-*/optimizer.pt")):
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < until
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (folder / "outcome.json").exists()
    # what a kill in the middle of writing leaves behind
    (folder / "checkpoints" / "checkpoint-11").mkdir()
    with (folder / "sheets.jsonl").open("a") as lines:
        lines.write('{"step": 12, "right"')

    resumed = run(training, folder, tmp_path)
    assert resumed.resumed == 1
    assert resumed.weights == whole.weights
    assert resumed.sheets == whole.sheets
    assert [line["reward"] for line in resumed.log] == [line["reward"] for line in whole.log]
    assert resumed.labels == whole.labels
    assert run(training, folder, tmp_path) == resumed, "what is done is read, not trained again"


def test_a_training_that_is_killed_after_its_last_step_is_not_trained_again(model: Path, tmp_path: Path) -> None:
    training = tiny_training(model)
    (tmp_path / "killed").mkdir()
    # the trained model cannot be written there
    (tmp_path / "killed" / "model").write_text("")
    with pytest.raises(OSError, match="model"):
        run(training, tmp_path / "killed", tmp_path, keep=True)
    (tmp_path / "killed" / "model").unlink()
    resumed = run(training, tmp_path / "killed", tmp_path, keep=True)
    whole = run(training, tmp_path / "whole", tmp_path)
    assert (resumed.resumed, resumed.weights, resumed.sheets) == (1, whole.weights, whole.sheets)
    assert (tmp_path / "killed" / "model" / "model.safetensors").is_file()


def test_the_seed_decides_the_training_and_another_one_gives_another(model: Path, tmp_path: Path) -> None:
    one, again, other = (
        run(tiny_training(model, "random", seed=seed), tmp_path / name, tmp_path)
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert one.weights == again.weights != other.weights
    assert one.base == other.base != one.weights


def test_what_another_training_left_in_a_folder_is_not_taken_for_ones_own(model: Path, tmp_path: Path) -> None:
    training = tiny_training(model)
    done = run(training, tmp_path / "done", tmp_path)
    with pytest.raises(AnotherTraining, match="other settings"):
        run(tiny_training(model, seed=2), tmp_path / "done", tmp_path)
    assert run(done.training, tmp_path / "done", tmp_path) == done
    # killed before its outcome was written
    (tmp_path / "done" / "outcome.json").unlink()
    with pytest.raises(AnotherTraining, match="other settings"):
        run(tiny_training(model, "random"), tmp_path / "done", tmp_path)
    with pytest.raises(AnotherTraining, match="planned with"):
        run(training.model_copy(update={"problems": "others"}), tmp_path / "new", tmp_path)


def test_settings_that_cannot_be_read_end_the_command_with_one_sentence(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "services.evaluation.grpo", "train", "-", "--out", str(tmp_path / "out")]
    for said, told in (("{", "no JSON"), ('{"model": "m", "reward": "luck"}', "no reward 'luck'")):
        ended = subprocess.run(command, input=said, capture_output=True, text=True, check=False)
        assert ended.returncode == 1
        assert told in ended.stderr
        assert "Traceback" not in ended.stderr
