"""A run's items as a sequence that holds one page of them: a report of any length takes the same memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, overload

from shared.contracts.evaluation import Item

PAGE = 200
"""Items read at a time."""


class Pages(Protocol):
    """Where the items are."""

    def count(self, run: str) -> int:
        """How many there are."""
        ...

    def from_position(self, run: str, position: int, limit: int) -> list[Item]:
        """The items from a position on."""
        ...


class StoredItems(Sequence[Item]):
    """The items of a run in order. Going through it reads pages; `pages` gives them whole."""

    def __init__(self, pages: Pages, run: str) -> None:
        self._pages, self._run, self._count = pages, run, pages.count(run)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Item]:
        for start in range(0, self._count, PAGE):
            yield from self._pages.from_position(self._run, start, min(PAGE, self._count - start))

    @overload
    def __getitem__(self, place: int) -> Item: ...
    @overload
    def __getitem__(self, place: slice) -> list[Item]: ...
    def __getitem__(self, place: int | slice) -> Item | list[Item]:
        wanted = range(self._count)[place]
        if isinstance(wanted, int):
            return self._pages.from_position(self._run, wanted, 1)[0]
        if not wanted:
            return []
        start, stop = min(wanted), max(wanted) + 1
        found = self._pages.from_position(self._run, start, stop - start)
        return [found[one - start] for one in wanted]
