"""Reproduce the committed experts and the table of what they are worth.

``python -m services.model.flexolmo train OWNER`` trains an expert from the pulled data; ``... matrix
--control FILE`` measures all of them and writes docs/experts.md and bench/results/experts.json.
"""

import argparse
import os
from pathlib import Path

import torch

from services.model.flexolmo.dense import train_dense
from services.model.flexolmo.matrix import measure, variants
from services.model.flexolmo.recipe import EXPERTS, OWNERS, PUBLIC, anchor_folder, train_expert
from services.model.flexolmo.report import tables, write
from services.model.flexolmo.train import Progress, Settings

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
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    arguments.run(arguments, Path(os.environ.get("CANDOR_HOME", Path.home() / ".cache" / "candor")))


def _train(arguments: argparse.Namespace, home: Path) -> None:
    out = train_expert(
        home,
        arguments.owner,
        arguments.out or EXPERTS / f"{arguments.owner}.safetensors",
        resume=arguments.checkpoint,
        settings=Settings(steps=arguments.steps),
        progress=_show,
    )
    print(f"wrote {out}")


def _dense(arguments: argparse.Namespace, home: Path) -> None:
    owners = arguments.owners
    # the sum of what the owners' experts have: as much rank, and as many steps of as many blocks
    settings = Settings(rank=Settings.rank * len(owners), steps=arguments.steps, blocks=len(owners))
    texts = [home / "texts" / owner for owner in owners]
    out = train_dense(anchor_folder(home), texts, arguments.out, settings=settings, progress=_show)
    print(f"wrote {out}")


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
