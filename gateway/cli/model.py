"""`candor model`: put owners' experts and the public model together, and look at what comes out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.analyse import analyse
from gateway.cli.failure import Failure, explained
from gateway.cli.many import ManyValues
from gateway.cli.terminal import errors, out
from gateway.cli.wanting import require_pulled
from shared.settings import candor_home

commands = typer.Typer(no_args_is_help=True, help="Work on the language model.")
commands.command()(analyse)


@commands.command(cls=ManyValues)
def merge(
    anchor: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The public model of the experts; default: the pulled one.")
    ] = None,
    expert: Annotated[
        list[Path] | None, typer.Option(metavar="FILES", help="Experts' files; default: the committed ones.")
    ] = None,
    k: Annotated[
        int | None,
        typer.Option("--k", min=1, help="Experts a token; default: 2, or those of an anchor that is a mixture."),
    ] = None,
    folder: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="The folder to write.")] = None,
    tune: Annotated[bool, typer.Option("--tune-router", help="Then tune the router on public text.")] = False,
) -> None:
    """Merge experts into the public model, without training: a mixture of experts that transformers and vLLM load.

    With nothing named, it is the embedded model of this installation.
    """
    home = candor_home()
    if not (anchor or expert or k or folder or tune):
        require_pulled(home)
        from services.model.flexolmo.build import ensure_merged

        with errors.status("Merging the committed experts ..."):
            out.print(f"The merged model is in {ensure_merged(home)}", soft_wrap=True)
        return
    if folder is None:
        raise Failure("Say where the merged model of these files shall go: --out DIR.")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Failure(f"There is something in {folder} already: name another --out, or delete it.")
    if missing := [str(file) for file in expert or [] if not file.is_file()]:
        raise Failure(f"There is no file {', '.join(missing)}.")
    from services.model.flexolmo.merge import merge as merge_files
    from services.model.flexolmo.recipe import EXPERTS, OWNERS, anchor_folder

    with explained(ValueError, OSError), errors.status("Merging ..."):
        committed = [EXPERTS / f"{owner}.safetensors" for owner in OWNERS]
        merge_files(anchor or anchor_folder(home), committed if expert is None else expert, folder, k)
    card = json.loads((folder / "candor.json").read_text(encoding="utf-8"))
    if tune:
        require_pulled(home)
        files = committed if expert is None else expert
        _tune(home, anchor or anchor_folder(home), files, folder, card["experts_per_token"])
    ids = [entry["id"] for entry in card["experts"]]
    out.print(f"{card['architecture']} of {len(ids)} experts, {card['experts_per_token']} a token: {', '.join(ids)}")
    if k is not None and k > len(ids):
        out.print(f"k is {k}, but there are {len(ids)} experts: all of them work on every token.")
    out.print(f"The merged model is in {folder}. Serve it with CANDOR_MODEL_DIRECTORY={folder}", soft_wrap=True)


@commands.command()
def thinking() -> None:
    """Build the model that thinks in tags, on arithmetic: the public model with the committed adapter."""
    home = candor_home()
    require_pulled(home)
    from services.model.thinking.build import NAME, ensure_thinking

    with explained(ValueError, OSError), errors.status("Building the thinking model ..."):
        folder = ensure_thinking(home)
    serve = f"CANDOR_MODEL_DIRECTORY={folder} CANDOR_MODEL_NAME={NAME}"
    out.print(f"The thinking model is in {folder}. Serve it with {serve}", soft_wrap=True)


def _tune(home: Path, anchor: Path, experts: list[Path], folder: Path, k: int) -> None:
    from services.model.flexolmo.recipe import PUBLIC
    from services.model.flexolmo.tune import Tuning, tune_router, write_router

    settings = Tuning(k=k)
    with errors.status("Tuning the router on public text, some minutes ...") as status:
        tuned = tune_router(
            anchor,
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
