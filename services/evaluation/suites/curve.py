"""Points of a plot with their intervals."""

from __future__ import annotations

from collections.abc import Sequence

from shared.contracts.evaluation import Estimate
from shared.contracts.figure import Series


def with_intervals(name: str, x: Sequence[float] | Sequence[str], estimates: Sequence[Estimate]) -> Series:
    """The estimates at the places `x`, as many as they are."""
    return Series(
        name=name,
        x=list(x),
        y=[one.mean for one in estimates],
        low=[one.low for one in estimates],
        high=[one.high for one in estimates],
    )
