"""`candor model`: put owners' experts and the public model together, and look at what comes out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.analyse import analyse
from gateway.cli.failure import Failure, explained
from gateway.cli.terminal import errors, out
from gateway.cli.wanting import require_pulled
from shared.settings import candor_home

commands = typer.Typer(no_args_is_help=True, help="Work on the language model.")
commands.command()(analyse)


@commands.command()
def merge(
    experts: Annotated[list[Path] | None, typer.Argument(help="Experts' files; none: the committed ones.")] = None,
    folder: Annotated[Path | None, typer.Option("--out", help="The folder to write, when files are given.")] = None,
    active: Annotated[int, typer.Option(min=1, help="Experts that work on each token, when files are given.")] = 2,
) -> None:
    """Merge experts into the public model, without training: a mixture of experts that transformers loads."""
    home = candor_home()
    require_pulled(home)
    from services.model.flexolmo.anchor import UnsupportedAnchor, WrongAnchor
    from services.model.flexolmo.build import ensure_merged
    from services.model.flexolmo.expert import BrokenExpert
    from services.model.flexolmo.merge import merge as merge_files

    if not experts:
        with errors.status("Merging the committed experts ..."):
            out.print(f"The merged model is in {ensure_merged(home)}", soft_wrap=True)
        return
    if folder is None:
        raise Failure("Say where the merged model of these files shall go: --out FOLDER.")
    if missing := [str(file) for file in experts if not file.is_file()]:
        raise Failure(f"There is no file {', '.join(missing)}.")
    with explained(WrongAnchor, UnsupportedAnchor, BrokenExpert, ValueError), errors.status("Merging ..."):
        merge_files(home / "models" / "smollm2-135m-instruct", experts, folder, active)
    out.print(f"The merged model is in {folder}. Serve it with CANDOR_MODEL_DIRECTORY={folder}", soft_wrap=True)
