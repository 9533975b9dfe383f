"""The datastores that can be searched, as they are on disk now."""

from __future__ import annotations

from collections.abc import Callable
from errno import ENAMETOOLONG
from pathlib import Path
from threading import Event, Lock

from services.retrieval.datastore import manifest
from services.retrieval.datastore.generation import generation, unchanging
from services.retrieval.datastore.manifest import BadSegment, EncoderStamp, Stopped
from services.retrieval.datastore.opened import Datastore
from services.retrieval.datastore.opening import LEFT_OUT, Loaded, folders, open_datastore
from services.retrieval.encoders.base import Card


class Catalogue:
    """Every datastore in a folder, for vectors of one encoder. Safe to use from several threads."""

    def __init__(self, folder: Path, card: Card, usable: Callable[[EncoderStamp], bool] = lambda _: True) -> None:
        """`usable` says whether exact scores by vectors of another encoder can be had: of a datastore that has a second
        one which is not there, nothing is shown."""
        self._folder = folder
        self._open: dict[str, Datastore] = {}
        self._opening = Lock()
        self._loaded = Loaded(EncoderStamp.of(card), usable, {})

    def get(self, name: str) -> Datastore | None:
        """A datastore as it is now, or None if there is none of this name."""
        place = self._folder / name
        if name.startswith(".") or place.parent != self._folder or not _is_folder(place):
            return None
        known = self._open.get(name)
        if known and known.generation == generation(place):
            return known
        with self._opening:
            known = self._open.get(name)
            if known and known.generation == generation(place):
                return known
            with unchanging(place) as now:
                made = open_datastore(place, now, self._loaded, known)
            self._open[name] = made
        return made

    def check(self, stop: Event | None = None) -> list[str]:
        """Read every file of every segment to its end, and leave out what is damaged; warnings on it. It ends early
        once it is told to stop.

        Opening a segment reads samples of its large files only, so that a service with much data starts at once.
        """
        found: list[str] = []
        for datastore in self.all():
            for segment in datastore.segments:
                try:
                    manifest.load(segment.folder, stop=stop)
                except Stopped:
                    return found
                except BadSegment as error:
                    if segment.unchanged():  # else it was merged or built anew meanwhile
                        found.append(f"{datastore.id}: {error}; {LEFT_OUT}")
                        with self._opening:
                            self._loaded.damaged[segment.folder] = segment.written, error
                            self._open.pop(datastore.id, None)
        return found

    def warnings(self) -> list[str]:
        """On what is left out of any datastore now."""
        return [warning for datastore in self.all() for warning in datastore.warnings]

    def all(self) -> list[Datastore]:
        """Every datastore, in order of name."""
        return [found for place in folders(self._folder) if (found := self.get(place.name))]


def open_datastores(folder: Path, card: Card) -> list[Datastore]:
    """Every datastore in a folder, as it is now."""
    return Catalogue(folder, card).all()


def _is_folder(place: Path) -> bool:
    try:
        return place.is_dir()
    except OSError as error:  # a name longer than any folder's
        if error.errno == ENAMETOOLONG:
            return False
        raise
