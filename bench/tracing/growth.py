"""What 4 trillion tokens would take, from the growth that was measured: `python -m bench.tracing.growth`.

The assumptions, which docs/tracing.md repeats: segments of 2^31 tokens; positions that fit them, so an eighth of a byte
a token more for each doubling of a segment; search in a segment takes a + b log2(tokens), fitted to indexes of one
segment; the rest of a trace takes what it takes at the largest of those; segments are searched independently, on as
many cores as there are; pages read from disk grow with log2(tokens) as the search does.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from bench.result import RESULTS

TOKENS = 4e12
SEGMENT = 1 << 31
UPSTREAM_BYTES = (6.0, 7.0)
UPSTREAM_SECONDS = 4.5
"""Published: bytes a token of infini-gram's index, and a response over 4.6 trillion tokens."""
CORES = 64
READS = 500_000
"""Random reads of 4 KB a second of one NVMe disk."""


class Measured(NamedTuple):
    """An index of one segment: `search_ms` of CPU a response, `trace_ms` of CPU for all of it, pages `read` from disk
    for the first response after a start (None where that was not measured)."""

    tokens: int
    bytes_per_token: float
    search_ms: float
    trace_ms: float
    read: float | None = None


class Cost(NamedTuple):
    """Of one index of `tokens`, on disk in `terabytes`; of a response: `cpu_s`, `warm_s` with all in memory on CORES
    cores, `reads` of 4 KB and `cold_s` with one disk of READS a second for each CORES cores."""

    tokens: float
    segments: int
    terabytes: float
    cpu_s: float
    warm_s: float
    reads: float | None
    cold_s: float | None


def extrapolate(measured: Sequence[Measured], tokens: float = TOKENS) -> Cost:
    """What an index of so many tokens would take."""
    largest = max(measured, key=lambda each: each.tokens)
    doublings = math.log2(SEGMENT / largest.tokens)
    slope, base = np.polyfit([math.log2(each.tokens) for each in measured], [each.search_ms for each in measured], 1)
    # a search that seems to get cheaper with size is noise: it costs what it does at the largest
    search = max(base + slope * math.log2(SEGMENT), largest.search_ms)
    segments = math.ceil(tokens / SEGMENT)
    rest = max(0.0, largest.trace_ms - largest.search_ms)
    seen = [each for each in measured if each.read is not None]
    reads = seconds = None
    if seen:
        reads = segments * (seen[-1].read or 0.0) * math.log2(SEGMENT) / math.log2(seen[-1].tokens)
        seconds = (rest + search * segments / CORES) / 1000 + reads / READS
    return Cost(
        tokens=tokens,
        segments=segments,
        terabytes=tokens * (largest.bytes_per_token + doublings / 8) / 1e12,
        cpu_s=(rest + search * segments) / 1000,
        warm_s=(rest + search * segments / CORES) / 1000,
        reads=reads,
        cold_s=seconds,
    )


def main() -> None:
    """Extrapolate from bench/results/tracing.json."""
    rows = json.loads((RESULTS / "tracing.json").read_text())["settings"]["rows"]
    cost = extrapolate(of_rows(rows))
    table = Table("of 4 trillion tokens", "Candor", "infini-gram, published")
    low, high = (TOKENS * each / 1e12 for each in UPSTREAM_BYTES)
    table.add_row("index on disk, TB", f"{cost.terabytes:.1f}", f"{low:.0f} to {high:.0f}")
    table.add_row("segments", f"{cost.segments:,}", "")
    table.add_row("CPU seconds a response", f"{cost.cpu_s:.2f}", "")
    table.add_row(f"seconds a response, in memory, {CORES} cores", f"{cost.warm_s:.2f}", "")
    if cost.cold_s is not None and cost.reads is not None:
        table.add_row("pages of 4 KB read for a first response", f"{cost.reads:,.0f}", "")
        table.add_row("seconds a response, from one disk", f"{cost.cold_s:.2f}", f"{UPSTREAM_SECONDS} (their disks)")
    Console().print(table)


def of_rows(rows: dict[str, dict[str, float]]) -> list[Measured]:
    """The indexes of one segment among those that were measured."""
    keys = ("tokens", "bytes_per_token", "spans_cpu_ms", "trace_cpu_ms", "cold_spans_faults")
    return [Measured(*map(row.get, keys)) for row in rows.values() if row["segments"] == 1]  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
