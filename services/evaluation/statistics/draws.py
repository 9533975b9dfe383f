"""Many random draws, a few at a time: memory is the same for any number of values."""

from __future__ import annotations

from collections.abc import Iterator


def rows(wanted: int, each: int, at_a_time: int, *, most: int | None = None) -> Iterator[int]:
    """Numbers of draws that are `wanted` together: at once `most`, and about `at_a_time` numbers at `each` a draw."""
    few = max(1, min(at_a_time // each, most or wanted))
    for start in range(0, wanted, few):
        yield min(few, wanted - start)
