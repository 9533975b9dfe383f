"""Responses of a model to prompts, apart from the training: for labels and for tests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from services.evaluation.grpo.data import Problem
from services.evaluation.grpo.settings import Training

Prompt = str | list[dict[str, str]]


@dataclass(frozen=True)
class Response:
    """What a model said. `cut`: the budget of tokens ended it."""

    text: str
    cut: bool


def prompt(training: Training, problem: Problem) -> Prompt:
    """A problem as the model is asked it: a text, or with `chat` a conversation."""
    text = training.prompt.replace("{question}", problem.question)
    return [{"role": "user", "content": text}] if training.chat else text


def responses(
    model: Any, tokenizer: Any, prompts: Sequence[Prompt], *, tokens: int, temperature: float, seed: int, batch: int
) -> list[Response]:
    """A response to each prompt, greedy at temperature 0. The training's random state is left as it was."""
    with _apart(model, seed), torch.no_grad():
        found = list[Response]()
        for start in range(0, len(prompts), batch):
            found += _batch(model, tokenizer, prompts[start : start + batch], tokens, temperature)
    return found


def _batch(model: Any, tokenizer: Any, prompts: Sequence[Prompt], tokens: int, temperature: float) -> list[Response]:
    if isinstance(prompts[0], str):
        rows = tokenizer(list(prompts))["input_ids"]
    else:
        chat = tokenizer.apply_chat_template(list(prompts), add_generation_prompt=True, tokenize=True, return_dict=True)
        rows = chat["input_ids"]
    width = max(map(len, rows))
    ids = torch.full((len(rows), width), tokenizer.pad_token_id)
    mask = torch.zeros_like(ids)
    for at, row in enumerate(rows):
        ids[at, width - len(row) :] = torch.tensor(row)
        mask[at, width - len(row) :] = 1
    sampling = {"do_sample": True, "temperature": temperature, "top_k": 0} if temperature else {"do_sample": False}
    said = model.generate(
        input_ids=ids.to(model.device),
        attention_mask=mask.to(model.device),
        max_new_tokens=tokens,
        pad_token_id=tokenizer.pad_token_id,
        **sampling,
    )[:, width:].tolist()
    ends = _ends(model, tokenizer)
    return [
        Response(tokenizer.decode(row, skip_special_tokens=True), len(row) == tokens and ends.isdisjoint(row))
        for row in said
    ]


def _ends(model: Any, tokenizer: Any) -> set[int]:
    """Every token that ends a response."""
    declared = model.generation_config.eos_token_id
    return {tokenizer.eos_token_id, *(declared if isinstance(declared, list) else [declared])} - {None}


@contextmanager
def _apart(model: Any, seed: int) -> Iterator[None]:
    training, cache = model.training, model.config.use_cache
    model.eval()
    model.config.use_cache = True
    try:
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            torch.manual_seed(seed)
            yield
    finally:
        model.config.use_cache = cache
        model.train(training)
