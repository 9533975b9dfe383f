"""``python -m services.model.flexolmo train OWNER``: reproduce a committed expert from the pulled data."""

import argparse
import os
from pathlib import Path

import torch

from services.model.flexolmo.recipe import EXPERTS, train_expert
from services.model.flexolmo.train import Progress, Settings


def main() -> None:
    """Run the command of the line."""
    home = Path(os.environ.get("CANDOR_HOME", Path.home() / ".cache" / "candor"))
    parser = argparse.ArgumentParser(prog="python -m services.model.flexolmo")
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("train", help="train an owner's expert and write its file")
    command.add_argument("owner")
    command.add_argument("--out", type=Path, help="the file to write (default: the committed one)")
    command.add_argument("--checkpoint", type=Path, help="the file to resume from (default: beside it)")
    command.add_argument("--steps", type=int, default=Settings.steps)
    command.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    out = train_expert(
        home,
        arguments.owner,
        arguments.out or EXPERTS / f"{arguments.owner}.safetensors",
        resume=arguments.checkpoint,
        settings=Settings(steps=arguments.steps),
        progress=_show,
    )
    print(f"wrote {out}")


def _show(now: Progress) -> None:
    if now.step % 10 == 0 or now.step == now.steps:
        print(
            f"step {now.step}/{now.steps}  loss {now.loss:.3f}  share {now.share:.2f}  "
            f"{now.tokens_per_second:.0f} tokens/s  {now.seconds_left / 60:.1f} min left",
            flush=True,
        )


if __name__ == "__main__":
    main()
