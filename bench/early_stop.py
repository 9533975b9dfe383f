"""What the early stop saves: each question answered with all its samples, and again with the same seeds and the stop.

Tokens saved are those that all samples took less those that were generated until the stop; beside them is what the
report says, which is the room that aborted samples had left. An answer is the same if all samples together would have
given its class as many votes as any has. SQuAD's standalone questions, with the best passage by BM25.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import Any

import httpx

from bench.result import Figures, finish
from gateway.embedded import stack
from gateway.pipeline.aggregate import Rule, aggregate
from shared.settings import candor_home

Answer = dict[str, Any]
RULES: tuple[Rule, ...] = ("majority", "confidence", "verifier")
MODES = {"no_thinking": 88, "plain": 128}
"""With the budget of each."""
SAMPLES, TEMPERATURE = 8, 0.7


def main() -> None:
    """Measure a stack of its own, or one that runs."""
    parser = argparse.ArgumentParser(prog="python -m bench.early_stop", description=__doc__)
    parser.add_argument("--questions", type=int, default=60)
    parser.add_argument("--url", help="of a gateway that runs")
    asked = parser.parse_args()
    if asked.url:
        figures = measure(asked.url, asked.questions)
    else:
        with tempfile.TemporaryDirectory() as state, stack(candor_home(), state=Path(state)) as running:
            figures = measure(running.address, asked.questions)
    settings = {"questions": asked.questions, "samples": SAMPLES, "temperature": TEMPERATURE, "budgets": MODES}
    finish("early_stop", figures, settings)


def measure(address: str, count: int) -> Figures:
    """By mode and rule: shares of the tokens, of the time, and of questions with the same answer."""
    with (candor_home() / "questions" / "squad.jsonl").open() as lines:
        read = map(json.loads, lines)
        questions = list(islice((question for question in read if question["standalone"]), count))
    figures: Figures = {}
    with httpx.Client(base_url=address, timeout=600, trust_env=False) as client:
        for mode in MODES:
            whole = [_ask(client, question, mode, "confidence", stop=False) for question in questions]
            for rule in RULES:
                stopped = [_ask(client, question, mode, rule, stop=True) for question in questions]
                texts = [question["question"] for question in questions]
                figures |= _compared(f"{mode}_{rule}", rule, whole, stopped, texts)
    return figures


def _compared(name: str, rule: Rule, whole: list[Answer], stopped: list[Answer], asked: list[str]) -> Figures:
    tokens, ended = (sum(answer["usage"]["completion_tokens"] for answer in answers) for answers in (whole, stopped))
    reported = sum(answer["candor"]["tokens_saved"] for answer in stopped)
    figures: Figures = {
        f"{name}_tokens": tokens,
        f"{name}_tokens_stopped": ended,
        f"{name}_saved_share": 1 - ended / tokens,
        f"{name}_reported_share": reported / tokens,
        f"{name}_stopped_share": fmean(answer["candor"]["tokens_saved"] > 0 for answer in stopped),
        f"{name}_generate_s": _seconds(whole),
        f"{name}_generate_stopped_s": _seconds(stopped),
    }
    if rule != "verifier":
        same = [_same(rule, one, other, text) for one, other, text in zip(whole, stopped, asked, strict=True)]
        figures[f"{name}_same_answer_share"] = fmean(same)
    return figures


def _seconds(answers: list[Answer]) -> float:
    return fmean(answer["candor"]["timings"]["generate"] / 1000 for answer in answers)


def _same(rule: Rule, whole: Answer, stopped: Answer, question: str) -> bool:
    samples = whole["candor"]["samples"]
    texts = [sample["text"] for sample in samples]
    vote = aggregate(texts, [sample["confidence"] for sample in samples], question, rule)
    chosen = stopped["candor"]["samples"][stopped["candor"]["winner"]]["text"]
    return chosen in texts and vote.votes[texts.index(chosen)] == vote.votes[vote.winner]


def _ask(client: httpx.Client, question: dict[str, Any], mode: str, rule: str, *, stop: bool) -> Answer:
    gold = "|".join(re.escape(answer) for answer in question["answers"])
    sampling = {
        "mode": mode,
        "samples": SAMPLES,
        "budget": MODES[mode],
        "aggregate": rule,
        "early_stop": stop,
        "verifier": {"kind": "regex", "pattern": f"(?i)(?:{gold})"} if rule == "verifier" else None,
    }
    body = {
        "model": "candor",
        "messages": [{"role": "user", "content": question["question"]}],
        "temperature": TEMPERATURE,
        "seed": 0,
        "candor": {"retrieval": {"index": "bm25"}, "trace": False, "sampling": sampling},
    }
    answer: Answer = client.post("/v1/chat/completions", json=body).raise_for_status().json()
    return answer


if __name__ == "__main__":
    main()
