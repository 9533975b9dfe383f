"""What masks cost on vLLM: stock vLLM, the masked model with every expert on, and a batch of mixed masks.

Run by `python -m bench.model` with the Python of vLLM's own environment (`make test-vllm` installs it); imports nothing
of Candor but candor_vllm. Reads a JSON list of prompts, each a list of token ids, from standard input and prints one
line of JSON. Stock and masked engines are processes of their own that live through the whole run and take turns, so
that a busy machine slows both; a ratio is the median over the rounds of the ratio of neighbours in time.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from itertools import combinations
from pathlib import Path

TOKENS, ROUNDS = 48, 9
KINDS = ("stock", "all_on", "mixed_masks")


def main() -> None:
    """Parse the command line, and measure."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--dtype", required=True)
    parser.add_argument("--serve", choices=("stock", "masked"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        _serve(options.model, options.dtype, masked=options.serve == "masked")
    else:
        print(json.dumps(measure(options.model, options.dtype, json.loads(sys.stdin.read()))))


def measure(model: Path, dtype: str, prompts: list[list[int]]) -> dict[str, float]:
    """Ratios to stock vLLM, and tokens per second of each kind."""
    engines = {kind: _Engine(model, dtype, kind) for kind in ("stock", "masked")}
    seconds: dict[str, list[float]] = {kind: [] for kind in KINDS}
    try:
        for turn in range(ROUNDS + 1):
            # every other round backwards: a drift of the machine favours nobody
            for kind in KINDS if turn % 2 else KINDS[::-1]:
                engine = engines["stock" if kind == "stock" else "masked"]
                taken = engine.ask({"mixed": kind == "mixed_masks", "prompts": prompts})
                if turn:  # the first is the warm-up
                    seconds[kind].append(taken)
    finally:
        for engine in engines.values():
            engine.close()
    ratios = {
        f"vllm_{kind}_vs_stock": statistics.median(
            theirs / ours for theirs, ours in zip(seconds["stock"], seconds[kind], strict=True)
        )
        for kind in KINDS[1:]
    }
    speeds = {
        f"tokens_per_second: vllm, {kind}": len(prompts) * TOKENS / statistics.median(seconds[kind]) for kind in KINDS
    }
    return ratios | speeds


class _Engine:
    """A vLLM in a process of its own: a line of JSON in, a line with the seconds it took out."""

    def __init__(self, model: Path, dtype: str, kind: str) -> None:
        environment = os.environ | {"VLLM_CPU_KVCACHE_SPACE": os.environ.get("VLLM_CPU_KVCACHE_SPACE", "1")}
        if kind == "stock":
            environment["VLLM_PLUGINS"] = ""
        command = [sys.executable, __file__, "--model", str(model), "--dtype", dtype, "--serve", kind]
        self._process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._read()

    def ask(self, question: dict[str, bool | list[list[int]]]) -> float:
        """Seconds for a batch."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return self._read()

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)

    def _read(self) -> float:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            # vLLM writes to standard output too
            if line.startswith("seconds "):
                return float(line.split()[1])
        raise RuntimeError("an engine ended before it answered; its reason is above")


def _serve(model: Path, dtype: str, masked: bool) -> None:
    from vllm import LLM, SamplingParams

    from candor_vllm.plugin import WORKER

    llm = LLM(
        model=str(model),
        dtype=dtype,
        enforce_eager=True,
        max_model_len=512,
        max_num_batched_tokens=512,
        enable_prefix_caching=False,
        skip_tokenizer_init=True,
        worker_cls=WORKER if masked else "auto",
    )
    experts = llm.llm_engine.model_config.get_num_experts()
    everyone, owners = range(experts), range(1, experts)
    # every subset of the owners, each with the public expert
    choices = [[0, *on] for size in range(experts) for on in combinations(owners, size)]
    print("seconds 0", flush=True)
    for line in sys.stdin:
        question = json.loads(line)
        prompts = [{"prompt_token_ids": tokens} for tokens in question["prompts"]]
        masks = [choices[i % len(choices)] if question["mixed"] else list(everyone) for i in range(len(prompts))]
        params = [
            SamplingParams(
                temperature=0,
                max_tokens=TOKENS,
                ignore_eos=True,
                detokenize=False,
                extra_args={"experts_on": ",".join(map(str, mask))} if masked else None,
            )
            for mask in masks
        ]
        start = time.perf_counter()
        llm.generate(prompts, params, use_tqdm=False)
        print("seconds", time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main()
