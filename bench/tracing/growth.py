"""What 4 trillion tokens would take, from the growth that was measured.

The assumptions, which docs/tracing.md repeats: segments of 2^31 tokens, and an eighth of a byte a token more for each
doubling of a segment, since positions take a bit more; a trace takes o + S (a + b log2(n / S)) of CPU for n tokens in S
segments, fitted to what was measured; segments are searched independently, on as many cores as there are; after a start
each segment is read from disk as often as the largest one measured was, more by the ratio of log2 of the tokens.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from bench.result import Figures

TOKENS = 4e12
SEGMENT = 1 << 31
UPSTREAM_BYTES = (6.0, 7.0)
UPSTREAM_SECONDS = 4.5
"""Published: bytes a token of infini-gram's index, and a response over 4.6 trillion tokens."""
CORES = 64
READS = 500_000
"""Random reads of 4 KB a second of one NVMe disk."""


class Measured(NamedTuple):
    """An index; `trace_ms` of CPU for a response, and how often the disk was waited for after a start (`faults`, None
    where that was not measured)."""

    tokens: int
    segments: int
    bytes_per_token: float
    trace_ms: float
    faults: float | None = None


class Cost(NamedTuple):
    """Of an index, on disk in `terabytes`; of a response: `cpu_s`, `warm_s` with all in memory on CORES cores, and
    after a start `reads` and `cold_s` on CORES cores and one disk of READS."""

    segments: int
    terabytes: float
    cpu_s: float
    warm_s: float
    reads: float | None
    cold_s: float | None


def extrapolate(measured: Sequence[Measured], tokens: float = TOKENS) -> Cost:
    """What an index of so many tokens would take."""
    largest = max(measured, key=lambda each: each.tokens / each.segments)
    once, each_segment = _trace(measured)
    segments = math.ceil(tokens / SEGMENT)
    warm = (once + segments * each_segment / CORES) / 1000
    reads = None
    if seen := [each for each in measured if each.faults is not None and each.segments == 1]:
        last = max(seen, key=lambda each: each.tokens)
        reads = segments * (last.faults or 0.0) * math.log2(SEGMENT) / math.log2(last.tokens)
    return Cost(
        segments=segments,
        terabytes=tokens
        * (largest.bytes_per_token + math.log2(SEGMENT * largest.segments / largest.tokens) / 8)
        / 1e12,
        cpu_s=(once + segments * each_segment) / 1000,
        warm_s=warm,
        reads=reads,
        cold_s=None if reads is None else warm + reads / READS,
    )


def of_rows(rows: Mapping[str, Figures]) -> list[Measured]:
    """The indexes that were measured."""
    keys = ("tokens", "segments", "bytes_per_token", "trace_cpu_ms", "cold_trace_faults")
    return [Measured(*map(row.get, keys)) for row in rows.values()]  # type: ignore[arg-type]


def _trace(measured: Sequence[Measured]) -> tuple[float, float]:
    """Milliseconds of a trace: once, and for each segment of SEGMENT tokens. Least squares of relative errors."""
    times = np.array([each.trace_ms for each in measured])
    columns = [[1.0, each.segments, each.segments * math.log2(each.tokens / each.segments)] for each in measured]
    once, base, slope = np.linalg.lstsq(np.array(columns) / times[:, None], np.ones(times.size), rcond=None)[0].tolist()
    if slope < 0:  # noise: a larger segment is not searched in less time
        once, base = np.linalg.lstsq(np.array(columns)[:, :2] / times[:, None], np.ones(times.size), rcond=None)[
            0
        ].tolist()
        slope = 0.0
    return max(once, 0.0), max(base + slope * math.log2(SEGMENT), 0.0)
