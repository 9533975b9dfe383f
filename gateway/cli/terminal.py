"""The two streams: results on standard output, everything else on standard error."""

from __future__ import annotations

import os
import sys

from rich.console import Console

PIPED_COLUMNS = 120
"""How wide tables are in a file or a pipe, which has no width of its own; COLUMNS says otherwise."""

out = Console(highlight=False, width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else PIPED_COLUMNS)
errors = Console(stderr=True, highlight=False)
