"""The unfinished work on one segment, kept by stage until the segment is published."""

from __future__ import annotations

import shutil
from pathlib import Path

UNFINISHED = ".unfinished-"
"""How the name of a folder begins that holds the work on a segment, or held it when its builder died."""


def stage(work: Path, name: str, key: str) -> Path:
    """The folder of a stage's finished shards.

    `key` is a hash of all that they are made of: those of another are removed.
    """
    folder = work / f"{name}-{key[:16]}"
    for other in sorted(work.glob(f"{name}-*")):
        if other != folder:
            shutil.rmtree(other)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
