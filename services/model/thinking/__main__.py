"""Reproduce the committed adapter, and measure what its thinking is worth.

``python -m services.model.thinking train`` trains it; ``build`` writes the model of another file than the committed
one; ``measure`` asks a built model, and others beside it, and writes bench/results/thinking.json; ``problems`` writes
problems as JSON lines.
"""

import argparse
import json
import sys
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from services.model.engines.loading import load_here
from services.model.flexolmo.recipe import anchor_folder
from services.model.settings import ModelSettings
from services.model.thinking.build import ADAPTER, ensure_thinking, write_thinking
from services.model.thinking.measure import WAYS, Accuracy, Answered, ask, compare, heldout
from services.model.thinking.problems import KINDS, problems
from services.model.thinking.train import Progress, Settings, train
from shared.settings import candor_home

RESULTS = Path(__file__).parents[3] / "bench" / "results" / "thinking.json"


def main() -> None:
    """Run the command of the line."""
    parser = argparse.ArgumentParser(prog="python -m services.model.thinking")
    parser.add_argument("--threads", type=int, default=1, help="two threads on two busy cores can be slower")
    commands = parser.add_subparsers(required=True)
    training = commands.add_parser("train", help="train the adapter and write its file")
    training.add_argument("--out", type=Path, default=ADAPTER, help="the file to write (default: the committed one)")
    training.add_argument("--checkpoint", type=Path, help="the file to resume from (default: beside it)")
    training.add_argument("--steps", type=int, default=Settings.steps)
    training.add_argument("--problems", type=int, default=Settings.problems, help="a step")
    training.add_argument("--learning-rate", type=float, default=Settings.learning_rate)
    training.add_argument("--seed", type=int, default=Settings.seed)
    training.set_defaults(run=_train)
    building = commands.add_parser("build", help="write the model folder of an adapter")
    building.add_argument("--adapter", type=Path, default=ADAPTER)
    building.add_argument("--out", type=Path, required=True)
    building.set_defaults(run=_build)
    measuring = commands.add_parser("measure", help="ask held-out problems with thinking and without")
    measuring.add_argument("--model", type=Path, nargs="*", help="folders of models (default: the thinking model)")
    measuring.add_argument("--problems", type=int, default=150)
    measuring.add_argument("--ways", nargs="+", choices=WAYS, default=["thinking", "no_thinking"])
    measuring.add_argument("--budget", type=int, default=160, help="tokens of an answer, its thinking among them")
    measuring.add_argument("--seed", default="measured", help="of the problems")
    measuring.add_argument("--out", type=Path, default=RESULTS)
    measuring.add_argument("--samples", type=int, default=0, help="show so many answers of each way")
    measuring.set_defaults(run=_measure)
    making = commands.add_parser("problems", help="write held-out problems, a JSON object a line")
    making.add_argument("--problems", type=int, default=150)
    making.add_argument("--seed", default="measured")
    making.set_defaults(run=_problems)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    arguments.run(arguments)


def _train(arguments: argparse.Namespace) -> None:
    settings = Settings(
        steps=arguments.steps,
        problems=arguments.problems,
        learning_rate=arguments.learning_rate,
        seed=arguments.seed,
    )
    resume = arguments.checkpoint or arguments.out.with_suffix(".training")
    train(anchor_folder(candor_home()), arguments.out, resume, settings, _say)


def _say(progress: Progress) -> None:
    print(f"step {progress.step}: loss {progress.loss:.4f}, {progress.seconds:.0f} s", flush=True)


def _build(arguments: argparse.Namespace) -> None:
    print(write_thinking(anchor_folder(candor_home()), arguments.adapter, arguments.out))


def _measure(arguments: argparse.Namespace) -> None:
    chosen = heldout(arguments.seed, arguments.problems)
    results: dict[str, Any] = {
        "command": " ".join(["python -m services.model.thinking", *sys.argv[1:]]),
        "problems": arguments.problems,
        "budget": arguments.budget,
        "seed": arguments.seed,
        "models": {},
    }
    for folder in arguments.model or [ensure_thinking(candor_home())]:
        engine, tokenizer = load_here(folder, ModelSettings(threads=arguments.threads))
        answers: dict[str, list[Answered]] = {}
        found = results["models"][folder.name] = {}
        for way in arguments.ways:
            answers[way] = ask(engine, tokenizer, chosen, WAYS[way], arguments.budget)
            found[way] = _accuracies(answers[way])
            print(folder.name, way, json.dumps(found[way], indent=1), flush=True)
            for one in answers[way][: arguments.samples]:
                print(f"{one.problem.question}\n{one.text!r} ({one.problem.answer}, {one.right})", flush=True)
        if {"thinking", "no_thinking"} <= answers.keys():
            found["thinking against no_thinking"] = asdict(compare(answers["thinking"], answers["no_thinking"]))
        engine.close()
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def _accuracies(answers: list[Answered]) -> dict[str, Any]:
    """Of all problems, and of each kind."""
    parts = {"all": answers} | {kind: [one for one in answers if one.problem.kind == kind] for kind in KINDS}
    return {part: asdict(Accuracy.of(some)) for part, some in parts.items() if some}


def _problems(arguments: argparse.Namespace) -> None:
    for problem in islice(problems(arguments.seed, "heldout"), arguments.problems):
        print(json.dumps(asdict(problem)))


if __name__ == "__main__":
    main()
