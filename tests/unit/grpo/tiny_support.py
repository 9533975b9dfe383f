"""A model of a few thousand random weights, and a training of it that takes a second."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from services.evaluation.grpo.families import FAMILIES, configuration
from services.evaluation.grpo.settings import Budget, Training
from services.evaluation.grpo.spelling import spelling

BUDGET = Budget(
    prompts=4,
    samples=4,
    rollouts=6,
    learning_rate=1e-2,
    max_tokens=6,
    forwarded=8,
    label_samples=4,
    train_problems=12,
    test_problems=10,
    evaluate_every=2,
    sampled=2,
    save_every=2,
    vllm=False,
    cpu=True,
)


def tiny_model(folder: Path, family: str = "qwen2") -> Path:
    tokenizer = spelling()
    assert tokenizer.eos_token_id is not None
    given = configuration(len(tokenizer), tokenizer.eos_token_id, tokenizer.pad_token_id)
    small = given | {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    torch.manual_seed(0)
    architecture = FAMILIES[family].architecture
    config = AutoConfig.for_model(architecture, **small | {"num_key_value_heads": 2})
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)  # type: ignore[no-untyped-call]
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def tiny_training(model: Path, reward: str = "format", **given: object) -> Training:
    return Training.model_validate(
        {"model": str(model), "reward": reward, "updates": 2, "budget": BUDGET, "seed": 1, **given}
    )
