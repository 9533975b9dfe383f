"""The owners' texts that MemFree decoding keeps a model from repeating: a filter of each, made when first asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from services.model.engines.memfree import NgramFilter
from shared.http.errors import NotFound

_Files = tuple[tuple[str, int, int], ...]


class NothingToProtect(NotFound):
    """There is no text of an owner here, so that nothing of it can be kept from being repeated."""

    code = "nothing_to_protect"

    def __init__(self, owner: str, folder: Path) -> None:
        detail = f"There is no text of {owner!r} in {folder}: MemFree decoding needs it. Run `candor data pull`."
        super().__init__(detail, field="candor.memfree")


class ProtectedTexts:
    """Filters by owner, of all documents of `texts`/OWNER/*.jsonl. Safe from any thread."""

    def __init__(self, texts: Path, encode: Callable[[str], Sequence[int]]) -> None:
        self._texts, self._encode = texts, encode
        self._lock = threading.Lock()
        self._known: dict[str, tuple[_Files, NgramFilter]] = {}

    def of(self, owner: str) -> NgramFilter:
        """An owner's filter; made anew when its files have changed. Raises NothingToProtect."""
        folder = self._texts / owner
        files = sorted(folder.glob("*.jsonl"))
        state = tuple((path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files)
        with self._lock:
            known = self._known.get(owner)
            if known is not None and known[0] == state:
                return known[1]
            made = NgramFilter(map(self._encode, _documents(files)))
            if not len(made):
                raise NothingToProtect(owner, folder)
            self._known[owner] = state, made
            return made


def _documents(files: Sequence[Path]) -> Iterator[str]:
    for path in files:
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)["text"]
