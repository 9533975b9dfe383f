"""`candor model`: put owners' experts and the public model together."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.failure import Failure, explained
from gateway.cli.terminal import errors, out
from gateway.cli.wanting import require_pulled
from shared.settings import candor_home

commands = typer.Typer(no_args_is_help=True, help="Work on the language model.")


@commands.callback()
def _group() -> None:
    """Keeps `merge` a command of a group while it is the only one."""


@commands.command()
def merge(
    experts: Annotated[list[Path] | None, typer.Argument(help="Experts' files; none: the committed ones.")] = None,
    folder: Annotated[Path | None, typer.Option("--out", help="The folder to write, when files are given.")] = None,
    active: Annotated[int, typer.Option(min=1, help="Experts that work on each token, when files are given.")] = 2,
    tune: Annotated[
        bool,
        typer.Option("--tune-router", help="Tune the router on public text, experts frozen, when files are given."),
    ] = False,
) -> None:
    """Merge experts into the public model, without training: a mixture of experts that transformers loads."""
    home = candor_home()
    require_pulled(home)
    from services.model.flexolmo.anchor import UnsupportedAnchor, WrongAnchor
    from services.model.flexolmo.build import ensure_merged
    from services.model.flexolmo.expert import BrokenExpert
    from services.model.flexolmo.merge import merge as merge_files

    if not experts:
        if tune:
            raise Failure("Say whose experts the router shall be tuned for: --tune-router goes with files and --out.")
        with errors.status("Merging the committed experts ..."):
            out.print(f"The merged model is in {ensure_merged(home)}", soft_wrap=True)
        return
    if folder is None:
        raise Failure("Say where the merged model of these files shall go: --out FOLDER.")
    if missing := [str(file) for file in experts if not file.is_file()]:
        raise Failure(f"There is no file {', '.join(missing)}.")
    with explained(WrongAnchor, UnsupportedAnchor, BrokenExpert, ValueError), errors.status("Merging ..."):
        merge_files(home / "models" / "smollm2-135m-instruct", experts, folder, active)
    if tune:
        _tune(home, experts, folder, active)
    out.print(f"The merged model is in {folder}. Serve it with CANDOR_MODEL_DIRECTORY={folder}", soft_wrap=True)


def _tune(home: Path, experts: list[Path], folder: Path, active: int) -> None:
    from services.model.flexolmo.recipe import PUBLIC, anchor_folder
    from services.model.flexolmo.tune import Tuning, tune_router, write_router

    settings = Tuning(k=active)
    with errors.status("Tuning the router on public text, some minutes ...") as status:
        tuned = tune_router(
            anchor_folder(home),
            experts,
            home / "texts" / PUBLIC,
            home / "questions",
            settings=settings,
            progress=lambda step, loss: status.update(
                f"Tuning the router: step {step} of {settings.steps}, {loss:.3f}"
            ),
        )
    write_router(folder, tuned)
    out.print(f"Its router was tuned on public text ({tuned.card['tokens']} tokens); candor.json says so.")
