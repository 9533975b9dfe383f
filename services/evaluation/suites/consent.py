"""Whether an answer had nobody's data but theirs who were asked for."""

from __future__ import annotations

from collections.abc import Collection

from services.evaluation.suites.base import BadAnswer


def check_effective(effective: Collection[str], included: Collection[str]) -> None:
    """Raises BadAnswer where an owner took part that was left out."""
    if beyond := sorted({*effective} - {*included}):
        raise BadAnswer(f"the owner {beyond[0]} was left out and took part all the same")
