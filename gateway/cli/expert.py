"""`candor expert`: train an owner's expert on the owner's own text, write it to a file, check a file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from gateway.cli.failure import Failure, explained
from gateway.cli.terminal import errors, out
from gateway.cli.wanting import require_pulled
from shared.settings import candor_home

if TYPE_CHECKING:
    from services.model.flexolmo.train import Progress, Trained

commands = typer.Typer(no_args_is_help=True, help="Train, export and verify an owner's expert.")

Owner = Annotated[str, typer.Argument(metavar="OWNER", help="Whose text, a folder of CANDOR_HOME/texts.")]
Steps = Annotated[int | None, typer.Option(min=1, help="Steps of training; default: what the committed experts got.")]
Threads = Annotated[int, typer.Option(min=1, help="Processor threads.")]


@commands.command()
def train(owner: Owner, steps: Steps = None, threads: Threads = 2) -> None:
    """Train an expert by FlexOlmo's recipe. Interrupted, it goes on from where it was when called again."""
    trained = _train(owner, steps, threads)
    out.print(f"Trained on {trained.documents:,} documents: loss {trained.losses[0]:.3f} -> {trained.losses[-1]:.3f}.")
    out.print(f"Next: candor expert export {owner} --out {owner}.safetensors")


@commands.command()
def export(
    owner: Owner,
    file: Annotated[Path, typer.Option("--out", help="The file to write.")],
    steps: Steps = None,
    threads: Threads = 2,
) -> None:
    """Write a trained expert to one file, all that leaves its owner's machine. Trains what is left to train."""
    from services.model.flexolmo.export import export as write

    trained = _train(owner, steps, threads)
    count = f" --steps {steps}" if steps else ""
    command = f"candor expert train {owner}{count} && candor expert export {owner}{count} --out {file.name}"
    write(trained, file, command=command)
    out.print(f"Wrote {file} ({file.stat().st_size / 1e6:.1f} MB). Check it with: candor expert verify {file}")


@commands.command()
def verify(file: Annotated[Path, typer.Argument(help="An expert's file.")]) -> None:
    """Check that a file is a whole expert, trained on this installation's model, and say how it was trained."""
    require_pulled(candor_home())
    from services.model.flexolmo.anchor import WrongAnchor
    from services.model.flexolmo.expert import BrokenExpert
    from services.model.flexolmo.expert import verify as verify_file
    from services.model.flexolmo.recipe import anchor_folder

    if not file.is_file():
        raise Failure(f"There is no file {file}.")
    with explained(BrokenExpert, WrongAnchor):
        expert = verify_file(file, anchor_folder(candor_home()))
    out.print(f"{file}: whole, and trained on this model.")
    out.print(f"  owner {expert.owner}, licence {expert.licence}, rank {expert.rank}, {expert.layers} layers")
    for name, value in expert.card.items():
        out.print(f"  {name.replace('_', ' ')}: {value}", markup=False)


def _train(owner: str, steps: int | None, threads: int) -> Trained:
    """Train or go on training, with a bar. Raises Failure for an owner without text or another training's state."""
    home = candor_home()
    require_pulled(home)
    texts = home / "texts" / owner
    if not any(texts.glob("*.jsonl")):
        known = ", ".join(sorted(folder.name for folder in (home / "texts").iterdir() if folder.is_dir()))
        raise Failure(f"There is no text of {owner!r} in {home / 'texts'}. Owners with text: {known}.")
    import torch

    from services.model.flexolmo.recipe import PUBLIC, anchor_folder
    from services.model.flexolmo.train import DEFAULTS
    from services.model.flexolmo.train import train as train_expert

    torch.set_num_threads(threads)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with explained(ValueError), Bars(*columns, console=errors) as bars:
        bar = bars.add_task("loading", total=None)

        def show(now: Progress) -> None:
            what = f"loss {now.loss:.3f}, expert's share {now.share:.2f}, {now.tokens_per_second:.0f} tokens/s"
            bars.update(bar, completed=now.step, total=now.steps, description=what)

        return train_expert(
            owner,
            anchor=anchor_folder(home),
            texts=texts,
            public=home / "texts" / PUBLIC,
            resume=home / "training" / f"{owner}.training",
            settings=replace(DEFAULTS, steps=steps) if steps else DEFAULTS,
            progress=show,
        )
