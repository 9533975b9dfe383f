"""The committed experts: which owners have one, from which text, by which command."""

from collections.abc import Callable
from pathlib import Path

from services.model.flexolmo.export import export
from services.model.flexolmo.optimise import Progress
from services.model.flexolmo.train import train
from services.model.flexolmo.training import DEFAULTS, Settings

EXPERTS = Path(__file__).parent.parent / "experts"
"""The folder of the committed experts, OWNER.safetensors."""
OWNERS = ("papers", "medicine", "python")
"""The owners of experts 1, 2 and 3; expert 0 is public."""
PUBLIC = "encyclopedia"
"""The owner of the public text: it positions routers, and trains the control expert."""


def anchor_folder(home: Path) -> Path:
    """The dense model under ``home``. Raises FileNotFoundError, saying how to get it."""
    folder = home / "models" / "smollm2-135m-instruct"
    if not (folder / "config.json").exists():
        raise FileNotFoundError(f"The dense model is not in {folder}: run `candor data pull` first.")
    return folder


def train_expert(
    home: Path,
    owner: str,
    out: Path,
    *,
    resume: Path | None = None,
    settings: Settings = DEFAULTS,
    progress: Callable[[Progress], None] = lambda _: None,
) -> Path:
    """Train ``owner``'s expert on its pulled text and write it to ``out``; returns ``out``.

    Goes on from ``resume`` (by default beside ``out``, ending in .training), and leaves it there.
    """
    trained = train(
        owner,
        anchor=anchor_folder(home),
        texts=home / "texts" / owner,
        public=home / "texts" / PUBLIC,
        resume=resume or out.with_suffix(".training"),
        settings=settings,
        progress=progress,
    )
    return export(trained, out)
