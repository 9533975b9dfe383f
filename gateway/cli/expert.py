"""`candor expert`: train an owner's expert on the owner's own text, write it to a file, check a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.failure import Failure, explained
from gateway.cli.many import ManyValues
from gateway.cli.terminal import errors, out
from shared.settings import candor_home

commands = typer.Typer(no_args_is_help=True, help="Train, export and verify an owner's expert.")

Owner = Annotated[str, typer.Option(help="Whose expert it is: the owner's id.")]
Anchor = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="The public model, a transformers checkpoint; default: the pulled one."),
]
Checkpoint = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="The training's state; default: training/OWNER.training in CANDOR_HOME."),
]


@commands.command(cls=ManyValues)
def train(
    *,
    owner: Owner,
    anchor: Anchor = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILES", help="The owner's text, .jsonl or .txt; default: what was pulled of the owner."),
    ] = None,
    licence: Annotated[str | None, typer.Option(help="Of the expert; default: those of the documents.")] = None,
    public: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILES", help="Public text, to place the router row; default: the pulled encyclopedia."),
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Train every weight of the expert's FFN.")] = False,
    rank: Annotated[int | None, typer.Option(min=1, help="Of a low-rank expert; default: 8.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Default: 300.")] = None,
    blocks: Annotated[int | None, typer.Option(min=1, help="Blocks of text a step; default: 4.")] = None,
    block_tokens: Annotated[int | None, typer.Option(min=2, help="Tokens a block; default: 256.")] = None,
    learning_rate: Annotated[float | None, typer.Option(min=0, help="Default: 1e-3, or 1e-4 with --full.")] = None,
    seed: Annotated[int, typer.Option(help="Decides everything, on one machine and thread count.")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="Processor threads.")] = 2,
    file: Annotated[Path | None, typer.Option("--out", help="Write the trained expert to this file.")] = None,
    checkpoint: Checkpoint = None,
) -> None:
    """Train an expert by FlexOlmo's recipe. Killed, it goes on from its checkpoint when called again.

    Several processes or GPUs: accelerate launch -m gateway.cli expert train ...
    """
    if full and rank:
        raise typer.BadParameter("--full trains every weight, --rank few: give one of them")
    # Of several processes the first speaks; to load what knows which one this is can take a minute by itself.
    if os.environ.get("RANK", "0") == "0":
        errors.print("loading torch and transformers ...")
    from gateway.cli.training import run, settings

    chosen = {"rank": rank, "steps": steps, "blocks": blocks, "block_tokens": block_tokens}
    budget = settings(full, **chosen, learning_rate=learning_rate, seed=seed)
    place = checkpoint or _checkpoint(owner)
    run(
        owner,
        anchor=anchor,
        data=data,
        public=public,
        licence=licence,
        budget=budget,
        threads=threads,
        checkpoint=place,
        file=file,
    )


@commands.command()
def export(
    owner: Annotated[str | None, typer.Option(help="Whose expert it is; or give its --checkpoint.")] = None,
    checkpoint: Checkpoint = None,
    file: Annotated[Path | None, typer.Option("--out", help="The file to write; default: OWNER.safetensors.")] = None,
) -> None:
    """Write a trained expert to one file, all that leaves its owner's machine. Needs neither text nor anchor."""
    if not owner and not checkpoint:
        raise typer.BadParameter("say whose expert: --owner ID, or --checkpoint FILE")
    from services.model.flexolmo.checkpoint import read
    from services.model.flexolmo.export import write

    place = checkpoint or _checkpoint(owner or "")
    if not checkpoint and not place.exists():
        raise Failure(
            f"No expert of {owner!r} was trained here yet: there is no {place}. "
            f"Train one: candor expert train --owner {owner} --data FILES. Or name a training's state: "
            "--checkpoint FILE."
        )
    with explained(ValueError, OSError):
        state = read(place)
        if owner and owner != state.training.owner:
            raise Failure(f"{checkpoint} is of the expert of {state.training.owner!r}, not of {owner!r}.")
        file = file or Path(f"{state.training.owner}.safetensors")
        written(write(state, file))


@commands.command()
def verify(file: Annotated[Path, typer.Argument(help="An expert's file.")], anchor: Anchor = None) -> None:
    """Check that a file is a whole expert, trained on this anchor, and say how it was trained."""
    if not file.is_file():
        raise Failure(f"There is no file {file}.")
    from services.model.flexolmo.expert import FULL, read_expert
    from services.model.flexolmo.recipe import anchor_folder
    from services.model.flexolmo.verify import verify as verify_file

    with explained(ValueError, OSError):
        if anchor is None:
            try:
                anchor = anchor_folder(candor_home())
            except FileNotFoundError:
                out.print(f"{file}: whole. Not compared with an anchor: none is pulled; say which with --anchor DIR.")
        else:
            anchor = anchor.resolve()
        expert = verify_file(file, anchor) if anchor else read_expert(file)
    if anchor:
        out.print(f"{file}: whole, and trained on this model ({anchor}).", soft_wrap=True)
    rank = FULL if expert.rank is None else f"rank {expert.rank}"
    out.print(f"  owner {expert.owner}, licence {expert.licence}, {rank}, {expert.layers} layers", markup=False)
    out.print(f"  anchor: {expert.architecture}, SHA-256 {expert.anchor.sha256}", soft_wrap=True)
    out.print("  holds its FFN and router rows alone, no shared weight: none can have moved")
    for name, value in expert.card.items():
        out.print(f"  {name.replace('_', ' ')}: {value}", markup=False, soft_wrap=True)


def written(file: Path) -> None:
    """Say that an expert's file was written, and what to do with it."""
    out.print(
        f"Wrote {file} ({file.stat().st_size / 1e6:.1f} MB). Check it with: candor expert verify {file}",
        markup=False,
        soft_wrap=True,
    )


def _checkpoint(owner: str) -> Path:
    return candor_home() / "training" / f"{owner}.training"
