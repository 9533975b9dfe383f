"""What `candor data build` calls."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from services.retrieval.datastore import layout
from services.retrieval.datastore.manifest import INDEXES
from services.retrieval.encoders import base
from services.retrieval.encoders.base import Loadable
from services.retrieval.settings import RetrievalSettings
from shared.owners import Owner
from shared.settings import cores

NO_ENCODER = "none"
"""Names no second encoder."""


class BadExact(Exception):
    """The second encoder cannot be used; the message says why."""


if TYPE_CHECKING:
    from services.retrieval.datastore.build import Report


def build_all(
    home: Path,
    owners: Sequence[Owner],
    progress: Callable[[str], None],
    decontaminate: Sequence[Path] = (),
    indexes: Collection[str] = INDEXES,
    *,
    exact: str | None = None,
    ray: str | None = None,
    restore: Collection[str] = (),
) -> Report:
    """Build the datastore "main" of all texts of these owners with the encoder of the settings.

    What is built and unchanged is left as it is. `progress` is told each step in a line. `decontaminate` are JSONL
    files of evaluation queries, which are taken out of the texts; `indexes` as in `build`, `exact` as in `second`.
    `ray` is the address of a Ray cluster that reads and embeds, `restore` owners who were deleted from the datastore
    and are to be in it again. Raises FileNotFoundError without an encoder's model, BadExact, BadLayout, BadIndexes,
    BadQueries for a file of queries that cannot be used, NothingToBuild without texts, BuildRunning while another
    process builds, NotDropped, BadDeletions, NoCluster.
    """
    # faiss and the readers of files: the command line must start fast
    from services.retrieval.datastore.build import build  # noqa: PLC0415
    from services.retrieval.datastore.ingest.decontaminate import Queries  # noqa: PLC0415
    from shared.cluster import cluster  # noqa: PLC0415
    from shared.schedule import Here  # noqa: PLC0415

    settings = RetrievalSettings()
    card = base.describe(settings.encoder, home)
    queries = Queries.of(decontaminate)
    # an actor of the cluster has one processor
    threads = 1 if ray else settings.build_threads or cores()
    load = partial(base.load, card, threads=threads)
    other = second(home, home / "retrieval" / "main", settings, exact, threads)
    with cluster(ray) if ray else nullcontext(Here()) as scheduler:
        return build(
            home,
            owners,
            card,
            load,
            progress,
            queries=queries,
            indexes=indexes,
            exact=other,
            scheduler=scheduler,
            restore=restore,
        )


def second(home: Path, target: Path, settings: RetrievalSettings, named: str | None, threads: int) -> Loadable | None:
    """The second encoder of a datastore's folder that is to be built: the one named, or else that of the settings, or
    the one that it has; None for "none". Raises FileNotFoundError without its model, BadExact, BadLayout."""
    name = named or settings.exact_encoder
    if not name:
        stamp = layout.read(target).exact
        name = stamp.name if stamp else NO_ENCODER
    if name == NO_ENCODER:
        return None
    if name == settings.encoder:
        raise BadExact(
            f"The encoder {name!r} finds the candidates already, and would give no other exact scores: name another "
            f"with --exact, or --exact {NO_ENCODER}."
        )
    card = base.describe(name, home)
    return Loadable(card, partial(base.load, card, threads=threads))
