"""What `candor expert train` runs: where text and anchor come from when none is named, progress, and the file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from transformers.utils import logging

from gateway.cli.expert import written
from gateway.cli.failure import Failure, explained
from gateway.cli.terminal import errors, out
from services.model.flexolmo.export import export
from services.model.flexolmo.optimise import Progress
from services.model.flexolmo.processes import launched
from services.model.flexolmo.recipe import PUBLIC as ENCYCLOPEDIA
from services.model.flexolmo.recipe import anchor_folder
from services.model.flexolmo.train import train
from services.model.flexolmo.training import DEFAULTS, FULL_LEARNING_RATE, Settings, first_loss, last_loss
from shared.contracts.model import PUBLIC
from shared.settings import candor_home


def settings(full: bool, **chosen: Any) -> Settings:
    """The settings that were chosen, and for what is None the default, of a full or a low-rank expert."""
    default = replace(DEFAULTS, rank=None, learning_rate=FULL_LEARNING_RATE) if full else DEFAULTS
    return replace(default, **{name: value for name, value in chosen.items() if value is not None})


def run(
    owner: str,
    *,
    anchor: Path | None,
    data: list[Path] | None,
    public: list[Path] | None,
    licence: str | None,
    budget: Settings,
    threads: int,
    checkpoint: Path,
    file: Path | None,
) -> None:
    """Train, with progress, and write the expert to ``file`` if one is named. Raises Failure."""
    if owner == PUBLIC:
        raise Failure(f"No owner is called {PUBLIC!r}: that is the anchor's own expert.")
    torch.set_num_threads(threads)
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    with explained(ValueError, OSError), launched() as processes, _shown(processes.main) as (stage, progress):
        trained = train(
            owner,
            anchor=anchor or _pulled_anchor(),
            texts=data or _pulled_text(owner),
            public=public or _public(),
            resume=checkpoint,
            licence=licence,
            settings=budget,
            stage=stage,
            progress=progress,
            processes=processes,
        )
        if not processes.main:
            return
        first, last, documents = first_loss(trained.losses), last_loss(trained.losses), trained.training.documents
        out.print(f"Trained on {documents:,} documents: loss {first:.3f} -> {last:.3f} (means of up to ten steps).")
        if file:
            written(export(trained, file))
        else:
            out.print(f"Next: candor expert export --checkpoint {checkpoint} --out {owner}.safetensors", soft_wrap=True)


def _pulled_anchor() -> Path:
    try:
        return anchor_folder(candor_home())
    except FileNotFoundError as error:
        raise Failure(f"{error} Or name another public model: --anchor DIR.") from error


def _pulled_text(owner: str) -> Path:
    folder = candor_home() / "texts" / owner
    if not any(folder.glob("*.jsonl")):
        known = sorted(path.name for path in folder.parent.glob("*") if path.is_dir())
        pulled = f"Owners with pulled text: {', '.join(known)}." if known else "Nothing was pulled (candor data pull)."
        raise Failure(f"There is no text of {owner!r} in {folder.parent}. Name files of it: --data FILES. {pulled}")
    return folder


def _public() -> Path:
    folder = candor_home() / "texts" / ENCYCLOPEDIA
    if not any(folder.glob("*.jsonl")):
        raise Failure(
            "Name some public text: --public FILES. Against it the router row of the expert is placed; the pulled "
            f"encyclopedia, its default, is not in {folder} (candor data pull)."
        )
    return folder


@contextmanager
def _shown(main: bool) -> Iterator[tuple[Callable[[str], None], Callable[[Progress], None]]]:
    """What shows the stages before the first step, and what shows the steps.

    A bar on a terminal; in a log a line a stage and every ten steps; from processes that are not the main one nothing.
    """
    if not main:
        yield (lambda _: None), (lambda _: None)
    elif errors.is_terminal:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Bars(*columns, console=errors) as bars:
            bar = bars.add_task("", total=None)
            yield (
                lambda words: bars.update(bar, description=escape(words)),
                lambda now: bars.update(bar, completed=now.step, total=now.steps, description=_line(now)),
            )
    else:
        yield (lambda words: errors.print(f"{words} ...", markup=False, soft_wrap=True)), _log


def _log(now: Progress) -> None:
    if now.step % 10 == 0 or now.step == now.steps:
        left = f"{now.seconds_left / 60:.1f} min left"
        errors.print(f"step {now.step}/{now.steps}: {_line(now)}, {left}", soft_wrap=True)


def _line(now: Progress) -> str:
    return f"loss {now.loss:.3f}, expert's share {now.share:.2f}, {now.tokens_per_second:.0f} tokens/s"
