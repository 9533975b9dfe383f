"""The tables of docs/tracing.md, from bench/results/tracing.json: `python -m bench.tracing.report`."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from bench.result import RESULTS
from bench.tracing.compare import CALLERS
from bench.tracing.growth import CORES, TOKENS, UPSTREAM_BYTES, UPSTREAM_SECONDS, extrapolate, of_rows
from bench.tracing.responses import LENGTHS

Row = dict[str, Any]


def main() -> None:
    """Print them all."""
    settings = json.loads((RESULTS / "tracing.json").read_text())["settings"]
    rows: list[Row] = list(settings["rows"].values())
    fixed = list(rows)[settings["fixed"]]
    print(*_indexes(rows), *_lookups(fixed), *_callers(fixed), *_cold(rows), *_paper(settings["rows"]), sep="\n")


def _indexes(rows: Sequence[Row]) -> list[str]:
    columns: list[tuple[str, Callable[[Row], str]]] = [
        ("tokens", lambda row: f"{row['tokens']:,}"),
        ("text, MB", lambda row: f"{row['text_mb']:,.0f}"),
        ("segments", lambda row: f"{row['segments']:,}"),
        ("build, CPU s", _both("build_cpu_s")),
        ("memory, MB", _both("build_memory_mb")),
        ("bytes a token", _both("bytes_per_token")),
        ("spans, CPU ms", _both("spans_cpu_ms")),
        ("ratio", lambda row: f"{row['span_cpu_ratio']:.0f}"),
        ("spans identical", lambda row: f"{row['texts_identical']} of {row['texts_compared']} texts"),
        ("trace p50, ms", _both("trace_p50_ms")),
        ("trace p95, ms", _both("trace_p95_ms")),
    ]
    return _table([name for name, _ in columns], [[show(row) for _, show in columns] for row in rows])


def _lookups(row: Row) -> list[str]:
    body = [[what, *(_both(f"{what}_{length}_p50_ms")(row) for length in LENGTHS)] for what in ("count", "find")]
    return _table(["ms, p50, of tokens", *map(str, LENGTHS)], body)


def _callers(row: Row) -> list[str]:
    body = [
        [
            label,
            *(f"{row[f'{name}_a_second_of_{each}']:,.0f} ({_ms(row[f'{name}_p95_ms_of_{each}'])})" for each in CALLERS),
        ]
        for name, label in (("spans", "spans"), ("peer_spans", "spans, infini-gram"), ("trace", "whole traces"))
    ]
    return _table(["a second (p95, ms), callers", *map(str, CALLERS)], body)


def _cold(rows: Sequence[Row]) -> list[str]:
    columns = ("cold_spans", "peer_cold_spans", "cold_trace")
    body = [
        [f"{row['tokens']:,}", *(f"{row[f'{name}_p50_ms']:,.0f} ({row[f'{name}_read_mb']:,.0f})" for name in columns)]
        for row in rows
        if "cold_resident" in row
    ]
    return _table(["first answer, ms (MB read), tokens", "spans", "spans, infini-gram", "whole trace"], body)


def _paper(rows: dict[str, Row]) -> list[str]:
    cost = extrapolate(of_rows(rows))
    low, high = (TOKENS * each / 1e12 for each in UPSTREAM_BYTES)
    body = [
        ["disk, TB", f"{cost.terabytes:.1f}", f"{low:.0f} to {high:.0f}"],
        ["segments", f"{cost.segments:,}", ""],
        ["CPU s a response", f"{cost.cpu_s:.2f}", ""],
        [f"s a response, all in memory, {CORES} cores", f"{cost.warm_s:.2f}", ""],
    ]
    if cost.cold_s is not None and cost.reads is not None:
        body.append(["reads for a response after a start", f"{cost.reads:,.0f}", ""])
        body.append(["s a response after a start, one disk", f"{cost.cold_s:.1f}", f"{UPSTREAM_SECONDS} in service"])
    return _table(["of 4 trillion tokens", "Candor", "infini-gram, published"], body)


def _both(key: str) -> Callable[[Row], str]:
    """Ours, and the peer's where it was measured."""

    def show(row: Row) -> str:
        peer = row.get(f"peer_{key}")
        return _ms(row[key]) + ("" if peer is None else f" / {_ms(peer)}")

    return show


def _ms(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _table(head: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *body]
    return [*(f"| {' | '.join(line)} |" for line in lines), ""]


if __name__ == "__main__":
    main()
