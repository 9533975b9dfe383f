"""lm-eval, unmodified and in an environment of its own, against the model service: its numbers are the model's own.

The model is the embedded one's first layers in fp32: its tokenizer, template and weights at a third of the memory.
Run by `make test-lm-eval`, which makes the environment.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from services.evaluation.endpoint import Endpoint
from services.evaluation.suites.base import Answer
from services.evaluation.suites.harness.suite import HarnessOptions, LmEval
from services.model.app import create_app
from services.model.settings import ModelSettings
from tests.contract.model_support import ready
from tests.lm_eval.derived import derived

TASKS = Path(__file__).parent / "tasks"
LAYERS = 10
EVERY, PUBLIC, PAPERS = (0, 1, 2, 3), (0,), (0, 1)
pytestmark = pytest.mark.timeout(1800)

TOLERANCE = 1e-4
"""Of a log-likelihood, nats: fp32 sums in another order."""


@pytest.fixture(scope="module")
def checkpoint(candor_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    embedded = candor_home / "models/candor-135m"
    return derived(embedded, tmp_path_factory.mktemp("served") / "model", layers=LAYERS, experts=EVERY)


@pytest.fixture(scope="module")
def server(checkpoint: Path) -> Iterator[str]:
    with ready(create_app(ModelSettings(directory=checkpoint, dtype="float32"))) as address:
        yield address


class Harness:
    """lm-eval in its environment."""

    def __init__(self, home: Path, server: str, output: Path) -> None:
        self._program = home / "lm-eval-venv/bin/lm_eval"
        self._server, self._output = server, output
        assert self._program.is_file(), "run `make test-lm-eval`, which installs lm-eval"

    def run(
        self, model: str, path: str, tasks: Sequence[str], name: str, *options: str, **args: str
    ) -> dict[str, list[dict[str, Any]]]:
        """The logged samples of each task."""
        output = self._output / "logged"
        given = {"model": name, "base_url": self._server + path, "max_retries": "1"} | args
        command: list[str | Path] = [self._program, "--model", model, "--tasks", ",".join(tasks)]
        command += ["--include_path", TASKS, "--log_samples", "--output_path", output]
        command += ["--model_args", *(f"{key}={value}" for key, value in given.items()), *options]
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(self._output)}
        done = subprocess.run(command, cwd=TASKS, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        logs = {task: next(output.rglob(f"samples_{task}_*.jsonl")) for task in tasks}
        return {task: [json.loads(line) for line in log.read_text().splitlines()] for task, log in logs.items()}


@pytest.fixture
def harness(candor_home: Path, server: str, tmp_path: Path) -> Harness:
    return Harness(candor_home, server, tmp_path)


@dataclass
class Direct:
    """Plain transformers on a checkpoint that has no other experts."""

    model: Any
    tokenizer: Any

    @classmethod
    def load(cls, directory: Path) -> Direct:
        model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)
        return cls(model.train(False), AutoTokenizer.from_pretrained(directory))

    @torch.inference_mode()
    def log_likelihood(self, context: str, continuation: str) -> tuple[float, bool]:
        """Of the continuation, and whether it is greedy.

        As lm-eval splits them, whitespace at the end of the context belongs to the continuation.
        """
        tokens = self.tokenizer.encode(context + continuation)
        begins = len(self.tokenizer.encode(context.rstrip()))
        logprobs = self.model(torch.tensor([tokens])).logits[0].log_softmax(dim=-1)
        greedy = logprobs.argmax(dim=-1).tolist()
        total = sum(float(logprobs[place - 1, tokens[place]]) for place in range(begins, len(tokens)))
        return total, greedy[begins - 1 : -1] == tokens[begins:]

    @torch.inference_mode()
    def continuation(self, tokens: list[int], new: int, stops: list[str]) -> str:
        """The greedy continuation, cut before the first stop string."""
        prompt = torch.tensor([tokens])
        output = self.model.generate(
            prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=new, do_sample=False, pad_token_id=0
        )
        text: str = self.tokenizer.decode(output[0, len(tokens) :], skip_special_tokens=True)
        return text[: min(at for stop in [*stops, ""] if (at := text.find(stop) if stop else len(text)) >= 0)]


@pytest.fixture(scope="module")
def direct(candor_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Sequence[int]], Direct]:
    """Loads the model that has these experts and no others."""

    def load(experts: Sequence[int]) -> Direct:
        into = tmp_path_factory.mktemp("pruned") / "model"
        return Direct.load(derived(candor_home / "models/candor-135m", into, layers=LAYERS, experts=experts))

    return load


def check(samples: dict[str, list[dict[str, Any]]], direct: Direct) -> None:
    """The logged choices and continuations are what the model gives by itself."""
    for sample in samples["candor_choices"]:
        for arguments, ((found, greedy),) in zip(sample["arguments"].values(), sample["resps"], strict=True):
            expected, is_greedy = direct.log_likelihood(arguments["arg_0"], arguments["arg_1"])
            assert abs(float(found) - expected) < TOLERANCE
            assert (greedy == "True") == is_greedy
    for sample in samples["candor_continuations"]:
        prompt, rules = sample["arguments"]["gen_args_0"]["arg_0"], sample["arguments"]["gen_args_0"]["arg_1"]
        expected_text = direct.continuation(direct.tokenizer.encode(prompt), rules["max_gen_toks"], rules["until"])
        assert sample["resps"][0][0] == expected_text
    assert {name: len(logged) for name, logged in samples.items()} == dict.fromkeys(samples, 5)


def test_completions_with_the_services_own_tokenizer(
    harness: Harness, direct: Callable[[Sequence[int]], Direct]
) -> None:
    tasks = ["candor_choices", "candor_continuations"]
    samples = harness.run("local-completions", "/v1/completions", tasks, "candor", "--batch_size", "4")
    check(samples, direct(PUBLIC))


def test_completions_under_a_mask_with_a_tokenizer_of_the_harness(
    harness: Harness, direct: Callable[[Sequence[int]], Direct], checkpoint: Path
) -> None:
    # with the template applied, the harness itself writes its markers into the prompt
    samples = harness.run(
        "local-completions",
        "/v1/completions",
        ["candor_choices", "candor_continuations"],
        "candor+papers",
        "--apply_chat_template",
        tokenizer_backend="huggingface",
        tokenizer=str(checkpoint),
    )
    check(samples, direct(PAPERS))


def test_chat_under_a_mask_in_the_generation_arguments(
    harness: Harness, direct: Callable[[Sequence[int]], Direct]
) -> None:
    options = ["--apply_chat_template", "--gen_kwargs", '{"candor": {"experts": ["papers"]}}']
    task = "candor_continuations"
    samples = harness.run("local-chat-completions", "/v1/chat/completions", [task], "candor", *options)[task]
    plain = direct(PAPERS)
    for sample in samples:
        messages = json.loads(sample["arguments"]["gen_args_0"]["arg_0"][0])
        rules = sample["arguments"]["gen_args_0"]["arg_1"]
        prompt = plain.tokenizer.apply_chat_template(messages, add_generation_prompt=True)["input_ids"]
        assert sample["resps"][0][0] == plain.continuation(prompt, rules["max_gen_toks"], rules["until"])
    assert len(samples) == 5


def test_the_suite_lm_eval_probes_the_endpoint_and_keeps_what_the_harness_found(
    candor_home: Path, server: str, direct: Callable[[Sequence[int]], Direct], tmp_path: Path
) -> None:
    (tmp_path / "lm-eval-venv").symlink_to(candor_home / "lm-eval-venv")
    (tmp_path / "lm-eval-tasks").symlink_to(TASKS)
    suite = LmEval()
    plan = suite.plan(HarnessOptions(tasks=["candor_choices"]), 5, 0, tmp_path)

    async def run() -> Answer:
        async with Endpoint(server, run="run", api_key=None, timeout=300, patience=5) as endpoint:
            await suite.describe(endpoint, plan.versions)
            return await suite.answer(plan.items[0], endpoint)

    answer, model = asyncio.run(run()), direct(PUBLIC)
    right = []
    for line in (TASKS / "capitals.jsonl").read_text().splitlines():
        row = json.loads(line)
        sums = [model.log_likelihood(row["question"], f" {choice}")[0] for choice in row["choices"]]
        right.append(sums.index(max(sums)) == row["answer"])
    assert suite.score(plan.items[0], answer)["acc"] == pytest.approx(sum(right) / len(right))
    assert answer.details["documents"] == len(right) == 5
    assert [bool(one["acc"]) for one in answer.details["samples"]] == right
