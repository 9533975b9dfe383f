"""How the small models are taught, and that a killed teaching goes on to the same weights."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.evaluation.grpo.families import FAMILIES
from services.evaluation.grpo.run import fingerprint
from services.evaluation.grpo.settings import Training
from services.evaluation.grpo.taught import Lessons, ensure, teach
from services.evaluation.grpo.trainer import configuration

SHORT = Lessons(steps=6, batch=4)


class Killed(Exception):
    pass


def test_a_teaching_that_is_killed_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    def stop(step: int, loss: float) -> None:
        if step == 5:
            raise Killed

    whole, _ = teach(FAMILIES["olmo2"], SHORT)
    with pytest.raises(Killed):
        teach(FAMILIES["olmo2"], SHORT, tmp_path / "kept", save_every=2, seen=stop)
    steps: list[int] = []
    resumed, _ = teach(FAMILIES["olmo2"], SHORT, tmp_path / "kept", seen=lambda step, loss: steps.append(step))
    assert steps == [5, 6]
    assert fingerprint(resumed) == fingerprint(whole)


def test_a_family_is_taught_once_and_is_of_its_own_architecture(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    folders = [ensure(tmp_path, FAMILIES[name], SHORT) for name in ("qwen2", "llama", "qwen2")]
    assert folders[0] == folders[2] != folders[1]
    models = [AutoModelForCausalLM.from_pretrained(folder) for folder in folders]
    assert [model.config.model_type for model in models] == ["qwen2", "llama", "qwen2"]
    assert 200_000 < sum(parameter.numel() for parameter in models[0].parameters()) < 300_000
    assert (
        sorted(path.suffix for path in (tmp_path / "models" / "spurious").iterdir() if path.is_file()) == [".lock"] * 2
    )


@pytest.mark.parametrize(("updates", "accumulated"), [(8, 16), (1, 128)])
def test_the_paper_s_rollout_is_64_prompts_of_16_samples_in_8_updates_or_in_one(
    tmp_path: Path, updates: int, accumulated: int
) -> None:
    whole = Training(model="m", reward="random", updates=updates)
    # what a machine without a GPU can hold; the numbers are the paper's
    training = whole.model_copy(update={"budget": whole.budget.model_copy(update={"cpu": True, "vllm": False})})
    found = configuration(training, tmp_path)
    assert (found.generation_batch_size, found.num_generations) == (1024, 16)
    assert (found.gradient_accumulation_steps, found.max_steps) == (accumulated, 150 * updates)
    assert found.steps_per_generation == updates * accumulated
    assert (found.learning_rate, found.beta, found.epsilon, found.loss_type) == (5e-7, 0.0, 0.2, "grpo")
    assert (found.lr_scheduler_type, found.temperature, found.num_iterations) == ("constant", 1.0, 1)
