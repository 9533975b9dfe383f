"""What masks cost on vLLM: stock vLLM, the masked model with every expert on, and a batch of mixed masks.

Run by the Python of vLLM's own environment (`make test-vllm` installs it); imports nothing of Candor but candor_vllm:

    $HOME/.cache/candor/vllm-venv/bin/python bench/vllm_throughput.py --model DIR [--quick]

Prints one line of JSON. Stock and masked engines are processes of their own that live through the whole run and take
turns, so that a busy machine slows both; a ratio is that of two medians over the rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

BATCH = 8
KINDS = ("stock", "all_on", "mixed_masks")


def main() -> None:
    """Parse the command line, and measure."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--quick", action="store_true", help="3 short rounds instead of 9")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--serve", choices=("stock", "masked"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        _serve(options.model, options.dtype, masked=options.serve == "masked")
        return
    rounds, tokens = (3, 24) if options.quick else (9, 64)
    print(json.dumps(measure(options.model, options.dtype, rounds, tokens)))


def measure(model: Path, dtype: str, rounds: int, tokens: int) -> dict[str, float | int | str]:
    """Tokens per second of a batch of eight, and the ratios to stock vLLM."""
    engines = {kind: _Engine(model, dtype, kind) for kind in ("stock", "masked")}
    speeds: dict[str, list[float]] = {kind: [] for kind in KINDS}
    try:
        for turn in range(rounds + 1):
            # every other round backwards: a drift of the machine favours nobody
            for kind in KINDS if turn % 2 else KINDS[::-1]:
                engine = engines["stock" if kind == "stock" else "masked"]
                seconds = engine.ask({"mixed": kind == "mixed_masks", "tokens": tokens, "seed": turn})
                if turn:  # the first is the warm-up
                    speeds[kind].append(BATCH * tokens / seconds)
    finally:
        for engine in engines.values():
            engine.close()
    median = {kind: statistics.median(found) for kind, found in speeds.items()}
    return {
        "model": model.name,
        "dtype": dtype,
        "batch": BATCH,
        "tokens": tokens,
        "rounds": rounds,
        "compiled": 0,
        **{f"vllm_{kind}_tokens_per_second": round(speed, 2) for kind, speed in median.items()},
        "vllm_all_on_vs_stock": round(median["all_on"] / median["stock"], 4),
        "vllm_mixed_masks_vs_stock": round(median["mixed_masks"] / median["stock"], 4),
    }


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

    def ask(self, question: dict[str, int | bool]) -> float:
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
        max_num_seqs=BATCH,
        max_num_batched_tokens=512,
        enable_prefix_caching=False,
        skip_tokenizer_init=True,
        worker_cls=WORKER if masked else "auto",
    )
    experts = llm.llm_engine.model_config.get_num_experts()
    everyone = range(experts)
    # all on, public only, and each expert's absence, over and over
    choices = [list(everyone), [0], *([e for e in everyone if e != out] for out in everyone)]
    print("seconds 0", flush=True)
    for line in sys.stdin:
        question = json.loads(line)
        prompts = [
            {"prompt_token_ids": [3 + (question["seed"] * 31 + i * 7 + j) % 300 for j in range(32)]}
            for i in range(BATCH)
        ]
        masks = [choices[i % len(choices)] if question["mixed"] else list(everyone) for i in range(BATCH)]
        params = [
            SamplingParams(
                temperature=0,
                max_tokens=question["tokens"],
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
