"""Engines for the tests: one of each architecture, in turn, each started once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# models this small are slower on two threads
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["VLLM_LOGGING_LEVEL"] = "ERROR"
# the engine in this process: a start takes a third of the time, and a test can reach into the worker
os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"

import pytest
import torch
from torch import Tensor
from vllm import LLM, SamplingParams
from vllm.outputs import RequestOutput

import tiny
from candor_vllm.plugin import WORKER
from candor_vllm.statistics import columns

OWNERS = {1: "hospital", 2: "archive"}
PUBLIC = frozenset({0, 3})
TOP_K = {"mixtral": 2, "olmoe": 3, "flex_olmo": 2}


@dataclass
class Served:
    """A model as vLLM serves it, and the same model in transformers."""

    architecture: str
    model: Any
    llm: LLM

    def ask(self, prompts: list[Any], masks: list[str | None], tokens: int = 8, **settings: Any) -> list[RequestOutput]:
        """One batch, greedy unless `settings` say otherwise, each request with its own mask, with statistics."""
        width = columns(tiny.EXPERTS) + 2
        given = {"temperature": 0, "logprobs": width, "max_tokens": tokens, "ignore_eos": True, "detokenize": False}
        params = [
            SamplingParams(
                **(given | settings), extra_args={"statistics": "1"} | ({} if mask is None else {"experts_on": mask})
            )
            for mask in masks
        ]
        requests = [prompt if isinstance(prompt, dict) else {"prompt_token_ids": prompt} for prompt in prompts]
        return self.llm.generate(requests, params, use_tqdm=False)

    def pruned(self, keep: Iterable[int], tokens: list[int]) -> Tensor:
        """(positions, vocabulary) log p by the model that has only these experts."""
        return self.pruned_and_routed(keep, tokens)[0]

    def pruned_and_routed(self, keep: Iterable[int], tokens: list[int]) -> tuple[Tensor, Tensor]:
        """Also (positions, layers, experts): its routers' probabilities, 0 for the experts it does not have."""
        kept = sorted(keep)
        model = tiny.prune(self.architecture, self.model, kept)
        seen: list[Tensor] = []

        def keep_probabilities(module: Any, inputs: Any, _: Any) -> None:
            logits = torch.nn.functional.linear(inputs[0].reshape(-1, module.weight.shape[1]), module.weight)
            seen.append(logits.softmax(-1))

        for module in model.modules():
            if type(module).__name__.endswith("TopKRouter"):
                module.register_forward_hook(keep_probabilities)
        with torch.no_grad():
            logprobs = model(torch.tensor([tokens])).logits[0].log_softmax(-1)
        routing = torch.zeros(len(tokens), len(seen), tiny.EXPERTS)
        routing[:, :, kept] = torch.stack(seen, dim=1)
        return logprobs, routing


@pytest.fixture(scope="session", params=tiny.ARCHITECTURES)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    architecture = request.param
    model = tiny.build(architecture, top_k=TOP_K[architecture])
    llm = start(tiny.save(model, tmp_path_factory.mktemp(architecture), OWNERS))
    yield Served(architecture, model, llm)
    llm.llm_engine.engine_core.shutdown()


def start(directory: Path) -> LLM:
    return LLM(
        model=str(directory),
        worker_cls=WORKER,
        skip_tokenizer_init=True,
        dtype="float32",
        enforce_eager=True,
        kv_cache_memory_bytes=1 << 27,
        enable_prefix_caching=True,
        max_logprobs=columns(tiny.EXPERTS) + 20,
        max_model_len=256,
        # prompts are computed in pieces
        max_num_batched_tokens=64,
        max_num_seqs=16,
        block_size=32,
    )


def prompt(seed: int, length: int = 20) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(3, tiny.VOCABULARY, (length,), generator=generator).tolist()


def experts(mask: str | None) -> frozenset[int]:
    return PUBLIC if mask is None else frozenset(map(int, mask.split(",")))
