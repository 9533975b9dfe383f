"""What masks cost: one batch under eight masks against the same batch under none, and against plain `generate`.

Ours and each peer take turns in one run, on the same prompts and token counts: openings of four owners' documents, for
under prompts of one kind a router goes to fewer experts than under masks, and what would be measured is how much of the
weights is read. A ratio is the median over the rounds of the ratio of neighbours in time. The dense equivalent is the
public model with every FFN k times as wide: the work a token does in a mixture of k experts, without routing, masks or
statistics. vLLM is measured in its own environment (`make test-vllm` makes it).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from itertools import combinations, islice
from pathlib import Path
from typing import Any, cast

import torch
from transformers import AutoModelForCausalLM

from bench.result import Figures, finish
from services.model.engines.base import Delta, EngineFailed, Generation, Sampling
from services.model.engines.checkpoint import Checkpoint
from services.model.engines.loading import embedded_model
from services.model.engines.tokenizer import Tokenizer
from services.model.engines.transformers import Limits, TransformersEngine
from services.model.flexolmo.corpus import read_documents
from services.model.flexolmo.recipe import anchor_folder
from shared.processor import fast_dtype
from shared.settings import candor_home, cores

SEQUENCES = 8
TEXTS = ("papers", "medicine", "python", "encyclopedia")
EVERY = frozenset(range(4))
MASKS = [frozenset({0, *others}) for size in range(4) for others in combinations((1, 2, 3), size)]
"""All subsets of three owners, each with the public expert: eight different masks."""

Prompt = tuple[int, ...]


def main() -> None:
    """Measure, print, write bench/results/model.json."""
    parser = argparse.ArgumentParser(prog="python -m bench.model", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under a minute; without vLLM")
    parser.add_argument("--threads", type=int, default=cores())
    arguments = parser.parse_args()
    prompt, new, rounds = (64, 16, 3) if arguments.quick else (128, 48, 7)
    torch.set_num_threads(arguments.threads)
    home, dtype = candor_home(), fast_dtype()
    prompts = _prompts(home, prompt)
    figures = measure(home, prompts, dtype, new=new, rounds=rounds, threads=arguments.threads)
    figures |= {} if arguments.quick else _vllm(home, prompts, dtype)
    settings = {"sequences": SEQUENCES, "prompt": prompt, "new": new, "rounds": rounds}
    finish("model", figures, {**settings, "threads": arguments.threads, "dtype": dtype})


def measure(home: Path, prompts: Sequence[Prompt], dtype: str, *, new: int, rounds: int, threads: int) -> Figures:
    """The fixed keys of the engine on transformers, and tokens per second of each."""
    directory = embedded_model(home)
    tokenizer = Tokenizer.load(directory)
    checkpoint = Checkpoint.load(directory, dtype)
    checkpoint.ends = frozenset()  # every sequence takes all its steps, as in `generate` below
    engine = TransformersEngine(checkpoint, tokenizer.decode, Limits(prefixes=0, threads=threads))
    plain: Any = AutoModelForCausalLM.from_pretrained(directory, dtype=getattr(torch, dtype))
    dense = _dense_equivalent(anchor_folder(home), plain.config.num_experts_per_tok, dtype)
    runs: dict[str, Callable[[], None]] = {
        "unmasked": lambda: _serve(engine, prompts, [EVERY] * SEQUENCES, new),
        "mixed masks": lambda: _serve(engine, prompts, MASKS, new),
        "generate, dense equivalent": lambda: _generate(dense, prompts, new),
        "generate, the mixture": lambda: _generate(plain, prompts, new),
    }
    seconds = _take_turns(runs, rounds)
    engine.close()

    def faster_than(other: str) -> float:
        pairs = zip(seconds[other], seconds["mixed masks"], strict=True)
        return statistics.median(theirs / ours for theirs, ours in pairs)

    return {
        "mixed_masks_vs_unmasked": faster_than("unmasked"),
        "engine_vs_dense_equivalent": faster_than("generate, dense equivalent"),
        "engine_vs_generate": faster_than("generate, the mixture"),
        **{f"tokens_per_second: {name}": SEQUENCES * new / statistics.median(all_) for name, all_ in seconds.items()},
    }


def _prompts(home: Path, length: int) -> list[Prompt]:
    """The first tokens of two documents of each owner of TEXTS."""
    tokenizer, prompts = Tokenizer.load(embedded_model(home)), []
    for owner in TEXTS:
        openings = (
            tuple(tokenizer.encode(document.text)[:length])
            for document in read_documents(home / "texts" / owner, "train")
        )
        prompts += list(islice((opening for opening in openings if len(opening) == length), SEQUENCES // len(TEXTS)))
    return prompts


def _take_turns(runs: dict[str, Callable[[], None]], rounds: int) -> dict[str, list[float]]:
    """Wall seconds of each, round by round, after a round that is not counted; every other round goes backwards."""
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name in list(runs)[:: 1 if number % 2 else -1]:
            started = time.perf_counter()
            runs[name]()
            if number:
                taken[name].append(time.perf_counter() - started)
    return taken


def _serve(engine: TransformersEngine, prompts: Sequence[Prompt], masks: Sequence[frozenset[int]], new: int) -> None:
    """All prompts at once, greedy."""
    ended = threading.Semaphore(0)
    failures: list[EngineFailed] = []

    def deliver(outcome: list[Delta] | EngineFailed) -> None:
        if isinstance(outcome, EngineFailed):
            failures.append(outcome)
            ended.release()
            return
        for delta in outcome:
            if delta.finish is not None:
                ended.release()

    for prompt, mask in zip(prompts, masks, strict=True):
        engine.submit(Generation(prompt, mask, Sampling(new, temperature=0)), deliver)
    for _ in prompts:
        ended.acquire()
    if failures:
        raise failures[0]


@torch.inference_mode()
def _generate(model: Any, prompts: Sequence[Prompt], new: int) -> None:
    ids = torch.tensor(prompts)
    out = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        min_new_tokens=new,
        max_new_tokens=new,
        do_sample=False,
        pad_token_id=0,
    )
    if out.shape[1] != ids.shape[1] + new:
        raise RuntimeError(f"generate gave {out.shape[1] - ids.shape[1]} tokens instead of {new}")


def _dense_equivalent(anchor: Path, k: int, dtype: str) -> Any:
    """The public model with its FFNs k times as wide: k copies beside each other, each with a k-th of the output."""
    model: Any = AutoModelForCausalLM.from_pretrained(anchor, dtype=getattr(torch, dtype))
    with torch.no_grad():
        for layer in model.model.layers:
            ffn = layer.mlp
            for projection in (ffn.gate_proj, ffn.up_proj):
                projection.weight = torch.nn.Parameter(projection.weight.repeat(k, 1))
            ffn.down_proj.weight = torch.nn.Parameter(ffn.down_proj.weight.repeat(1, k) / k)
    return model


def _vllm(home: Path, prompts: Sequence[Prompt], dtype: str) -> Figures:
    """The plugin against stock vLLM, in vLLM's own environment; nothing when there is none."""
    python = Path(os.environ.get("CANDOR_VLLM_PYTHON", home / "vllm-venv" / "bin" / "python"))
    if not python.exists():
        return {"vllm_mixed_masks_vs_stock": None}
    script, model = Path(__file__).with_name("vllm_throughput.py"), embedded_model(home)
    asked = subprocess.run(
        [str(python), str(script), "--model", str(model), "--dtype", dtype],
        input=json.dumps(prompts),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return cast(Figures, json.loads(asked.stdout.splitlines()[-1]))


if __name__ == "__main__":
    main()
