"""What `candor data build` calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from services.retrieval.encoders import base
from services.retrieval.settings import RetrievalSettings
from shared.owners import Owner
from shared.settings import cores


def build_all(home: Path, owners: Sequence[Owner], progress: Callable[[str], None]) -> None:
    """Build the datastore "main" of all texts of these owners with the encoder of the settings.

    What is built and unchanged is left as it is. `progress` is told each step in a line. Raises FileNotFoundError
    without the encoder's model, NothingToBuild without texts, BuildRunning while another process builds.
    """
    from services.retrieval.datastore.build import build  # noqa: PLC0415 (faiss: the command line must start fast)

    settings = RetrievalSettings()
    threads = settings.build_threads or cores()
    card = base.describe(settings.encoder, home)
    build(home, owners, card, partial(base.load, card, threads=threads), progress)
