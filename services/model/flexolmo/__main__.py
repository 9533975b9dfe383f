"""Reproduce the committed experts and the table of what they are worth.

``python -m services.model.flexolmo train OWNER`` trains an expert from the pulled data; ``... matrix
--control FILE`` measures all of them and writes docs/experts.md and bench/results/experts.json. ``... dense``, ``tune``
and ``compare`` measure a merge against its baselines, and write the same page and bench/results/comparison.json.
"""

import argparse
import os
from pathlib import Path

import torch

from services.model.flexolmo import compare, comparison
from services.model.flexolmo.candidates import candidates
from services.model.flexolmo.dense_training import train_dense
from services.model.flexolmo.expert import read_expert
from services.model.flexolmo.matrix import measure, variants
from services.model.flexolmo.optimise import Progress
from services.model.flexolmo.recipe import EXPERTS, OWNERS, PUBLIC, anchor_folder, train_expert
from services.model.flexolmo.report import tables, write
from services.model.flexolmo.tasks import tasks
from services.model.flexolmo.training import RANK, Settings
from services.model.flexolmo.tune import Tuning, save_router, tune_router

_ROOT = Path(__file__).parents[3]
_TEXTS = (*OWNERS, PUBLIC, "news", "literature", "textbooks")


def main() -> None:
    """Run the command of the line."""
    parser = argparse.ArgumentParser(prog="python -m services.model.flexolmo")
    parser.add_argument("--threads", type=int, default=1, help="two threads on two busy cores can be slower")
    commands = parser.add_subparsers(required=True)
    training = commands.add_parser("train", help="train an owner's expert and write its file")
    training.add_argument("owner")
    training.add_argument("--out", type=Path, help="the file to write (default: the committed one)")
    training.add_argument("--checkpoint", type=Path, help="the file to resume from (default: beside it)")
    training.add_argument("--steps", type=int, default=Settings.steps)
    training.add_argument("--blocks", type=int, default=Settings.blocks, help="of 256 tokens, a step")
    training.set_defaults(run=_train)
    dense = commands.add_parser("dense", help="train the dense baseline on the text of all of several owners")
    dense.add_argument("owners", nargs="+")
    dense.add_argument("--steps", type=int, required=True, help="of as many blocks as there are owners")
    dense.add_argument("--out", type=Path, required=True)
    dense.set_defaults(run=_dense)
    matrix = commands.add_parser("matrix", help="score every expert on every owner's held-out text")
    matrix.add_argument("--control", type=Path, required=True, help="the expert trained on public text")
    matrix.add_argument("--work", type=Path, required=True, help="a folder for what was scored already")
    matrix.add_argument("--windows", type=int, default=64, help="of 256 tokens, for each owner")
    matrix.set_defaults(run=_matrix)
    tuning = commands.add_parser("tune", help="tune the router of a merge on public text")
    tuning.add_argument("--experts", type=Path, nargs="+", required=True, help="in the order of the merge")
    tuning.add_argument("--rows", choices=("public", "all"), default=Tuning.rows, help="the router rows that move")
    tuning.add_argument("--steps", type=int, default=Tuning.steps)
    tuning.add_argument("--out", type=Path, required=True)
    tuning.set_defaults(run=_tune)
    comparing = commands.add_parser("compare", help="measure the merge of experts against its baselines")
    comparing.add_argument("--experts", type=Path, nargs="+", required=True)
    comparing.add_argument("--dense", type=Path, help="what `dense` wrote for the same owners and budget")
    comparing.add_argument("--router", type=Path, help="what `tune` wrote for these experts")
    comparing.add_argument("--work", type=Path, required=True, help="a folder for what was measured already")
    comparing.add_argument("--windows", type=int, default=32, help="of 256 tokens, for each owner")
    comparing.add_argument("--questions", type=int, default=100, help="of each set; 0: none")
    comparing.set_defaults(run=_compare)
    for each in (training, dense):
        each.add_argument("--warmup", type=int, default=Settings.warmup, help="steps")
        each.add_argument("--learning-rate", type=float, default=Settings.learning_rate)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    arguments.run(arguments, Path(os.environ.get("CANDOR_HOME", Path.home() / ".cache" / "candor")))


def _train(arguments: argparse.Namespace, home: Path) -> None:
    out = train_expert(
        home,
        arguments.owner,
        arguments.out or EXPERTS / f"{arguments.owner}.safetensors",
        resume=arguments.checkpoint,
        settings=Settings(
            steps=arguments.steps,
            blocks=arguments.blocks,
            warmup=arguments.warmup,
            learning_rate=arguments.learning_rate,
        ),
        progress=_show,
    )
    print(f"wrote {out}")


def _dense(arguments: argparse.Namespace, home: Path) -> None:
    owners = arguments.owners
    # the sum of what the owners' experts have: as much rank, and as many steps of as many blocks
    settings = Settings(
        rank=RANK * len(owners),
        steps=arguments.steps,
        blocks=len(owners),
        warmup=arguments.warmup,
        learning_rate=arguments.learning_rate,
    )
    texts = [home / "texts" / owner for owner in owners]
    out = train_dense(anchor_folder(home), texts, arguments.out, settings=settings, progress=_show)
    print(f"wrote {out}")


def _tune(arguments: argparse.Namespace, home: Path) -> None:
    tuned = tune_router(
        anchor_folder(home),
        arguments.experts,
        home / "texts" / PUBLIC,
        home / "questions",
        settings=Tuning(rows=arguments.rows, steps=arguments.steps),
        progress=lambda step, loss: print(f"step {step}  loss {loss:.3f}", flush=True),
    )
    save_router(arguments.out, tuned)
    print(f"wrote {arguments.out}: {tuned.card}")


def _compare(arguments: argparse.Namespace, home: Path) -> None:
    anchor = anchor_folder(home)
    models = candidates(anchor, arguments.experts, arguments.dense, arguments.router)
    owners = [read_expert(file).owner for file in arguments.experts]
    folders = [home / "texts" / owner for owner in (*owners, PUBLIC)]
    todo = tasks(folders, home, anchor, windows=arguments.windows, questions=arguments.questions)
    results = compare.measure(anchor, models, todo, arguments.work, progress=lambda line: print(line, flush=True))
    shares = compare.routing(models, todo)
    text = comparison.tables(results, owners, shares)
    print(text)
    figures = comparison.summary(results, owners, shares)
    comparison.write(text, figures, _ROOT / "docs" / "experts.md", _ROOT / "bench" / "results" / "comparison.json")


def _matrix(arguments: argparse.Namespace, home: Path) -> None:
    experts = {owner: EXPERTS / f"{owner}.safetensors" for owner in OWNERS}
    scores = measure(
        anchor_folder(home),
        experts | {"control": arguments.control},
        variants(OWNERS, "control"),
        [home / "texts" / owner for owner in _TEXTS],
        arguments.work,
        windows=arguments.windows,
        progress=lambda line: print(line, flush=True),
    )
    print(tables(scores, OWNERS, "control"))
    write(scores, OWNERS, "control", _ROOT / "docs" / "experts.md", _ROOT / "bench" / "results" / "experts.json")


def _show(now: Progress) -> None:
    if now.step % 10 == 0 or now.step == now.steps:
        print(
            f"step {now.step}/{now.steps}  loss {now.loss:.3f}  share {now.share:.2f}  "
            f"{now.tokens_per_second:.0f} tokens/s  {now.seconds_left / 60:.1f} min left",
            flush=True,
        )


if __name__ == "__main__":
    main()
