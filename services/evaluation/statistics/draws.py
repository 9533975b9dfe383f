"""Many random draws, a few at a time: memory is the same for any number of values."""

from __future__ import annotations

from collections.abc import Iterator


def rows(wanted: int, each: int, at_a_time: int) -> Iterator[int]:
    """Numbers of draws that are `wanted` together; of `each` numbers a draw, about `at_a_time` numbers at most."""
    most = max(1, at_a_time // each)
    for start in range(0, wanted, most):
        yield min(most, wanted - start)
