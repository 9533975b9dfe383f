"""What a data folder still lacks, and which command makes it."""

from __future__ import annotations

from pathlib import Path

from gateway.cli.failure import Failure

PULLED = ("sources.json", "models/smollm2-135m-instruct/config.json", "models/minilm", "texts")
BUILT = ("models/candor-135m/config.json", "retrieval/main", "tracing")


def require_pulled(home: Path) -> None:
    """Raises Failure unless the downloads are there."""
    if missing := _missing(home, PULLED):
        raise Failure(
            f"{home} lacks {', '.join(missing)}. Fetch the data first: candor data pull, then candor data build"
        )


def require_built(home: Path) -> None:
    """Raises Failure unless everything is there that the services load."""
    require_pulled(home)
    if missing := _missing(home, BUILT):
        raise Failure(f"{home} lacks {', '.join(missing)}. Build it first: candor data build")


def _missing(home: Path, paths: tuple[str, ...]) -> list[str]:
    return [path for path in paths if not (home / path).exists()]
