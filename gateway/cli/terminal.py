"""The two streams: results on standard output, everything else on standard error."""

from __future__ import annotations

import os
import sys

from rich import box
from rich.console import Console
from rich.table import Table

PIPED_COLUMNS = 120
"""How wide tables are in a file or a pipe, which has no width of its own; COLUMNS says otherwise."""
TITLE_CHARACTERS = 50

out = Console(highlight=False, width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else PIPED_COLUMNS)
errors = Console(stderr=True, highlight=False)


def table(*columns: str) -> Table:
    """An empty table of these columns, as every command draws it."""
    rows = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        rows.add_column(column, no_wrap=column in ("n", "owner", "votes", "routing share"))
    return rows


def cut(text: str, characters: int) -> str:
    """The text on one line, at most so long."""
    flat = " ".join(text.split())
    return flat if len(flat) <= characters else flat[: characters - 1] + "…"
