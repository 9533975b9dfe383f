"""Tracing beside infini-gram 2.6.0: spans, whole traces, count and find, builds, growth, callers, and a cold start.

Text, tokens, both systems' indexes (how long each build takes is measured when it is made) and the package are made
the first time and kept in CANDOR_HOME/bench/tracing: `--prepare` does that and no more, and goes on where it was
stopped; with `--texts` it stops before the indexes. What is asked is asked in every run.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from bench.result import RESULTS, Figures, finish
from bench.texts import questions
from bench.tracing import cold, compare, ours, peer, sources
from bench.tracing.corpus import Texts
from bench.tracing.growth import extrapolate, of_rows
from bench.tracing.indexes import Index
from bench.tracing.peer import Peer
from bench.tracing.plot import draw
from bench.tracing.responses import TOKENS, Response, ngrams, responses
from bench.tracing.rules import rules
from services.tracing.tokenizer import Tokenizer
from shared.settings import candor_home


class Plan(NamedTuple):
    """What is built and how much is asked.

    Each of `indexes` is the last part of the text in it, and its segments: the first warms a cold process, number
    `fixed` gives the fixed figures. Of the peer are asked: `spans` over one segment, fewer over more, and `traces` over
    the fixed index, and fewer over smaller ones: the pointers that it makes are too many beyond.
    """

    sizes: Sequence[int]
    indexes: Sequence[tuple[int, int]]
    fixed: int
    responses: int
    spans: int
    traces: int
    lookups: int
    calls: int
    cold: int


FULL = Plan(
    sizes=(1_000_000, 10_000_000, 50_000_000, 200_000_000),
    indexes=((0, 1), (1, 1), (2, 1), (2, 10), (2, 100), (3, 1)),
    fixed=2,
    responses=120,
    spans=120,
    traces=12,
    lookups=40,
    calls=120,
    cold=6,
)
QUICK = Plan(
    sizes=(200_000, 1_000_000),
    indexes=((0, 1), (1, 1), (1, 3)),
    fixed=1,
    responses=16,
    spans=16,
    traces=3,
    lookups=10,
    calls=12,
    cold=1,
)
WARMING = 10
MANY = 50
"""With so many segments half of the texts are asked, with twice as many a third, and so on: each takes longer."""
SPANS_LEAST = 6


class Bench(NamedTuple):
    """All that is there once everything is prepared."""

    indexes: Sequence[Index]
    fixed: Index
    python: Path
    peer: Peer
    asked: Sequence[Response]
    grams: dict[int, list[list[int]]]
    tokenizer: Tokenizer


def main() -> None:
    """Measure, print, write bench/results/tracing.json and tracing.svg."""
    parser = argparse.ArgumentParser(prog="python -m bench.tracing", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="1 million tokens of the texts that are there already")
    parser.add_argument("--prepare", action="store_true", help="make text, tokens and indexes, and measure nothing")
    parser.add_argument("--texts", action="store_true", help="with --prepare: no indexes")
    arguments = parser.parse_args()
    home = candor_home()
    if arguments.quick:
        with TemporaryDirectory() as folder:
            measure(prepare(home, Path(folder), QUICK), QUICK)
        return
    place = home / "bench" / "tracing"
    if arguments.texts:
        _texts(home, place, FULL)
        return
    bench = prepare(home, place, FULL)
    if not arguments.prepare:
        measure(bench, FULL)


def prepare(home: Path, place: Path, plan: Plan) -> Bench:
    """Make what is missing."""
    python = peer.environment(home)
    texts = _texts(home, place, plan)
    indexes = []
    for last, segments in plan.indexes:
        parts = [texts.part(number) for number in range(last + 1)]
        index = Index(place / "indexes" / f"{plan.sizes[last]}-{segments}", parts, segments)
        for who, took in (("ours", index.build_ours()), ("infini-gram", index.build_peer(python))):
            print(f"{index.name}, {who}: {took['cpu_s']:.1f} CPU s, {took['memory_mb']:.0f} MB", flush=True)
        indexes.append(index)
    tokenizer = ours.tokenizer()
    by = rules([tokenizer.decode([identity]) for identity in range(tokenizer.size)])

    def cut(text: str) -> str:
        ids = tokenizer.encode(text).ids[:TOKENS]
        return tokenizer.decode(ids).decode("utf-8", "ignore")

    asked = responses(texts.part(0), texts.held_out(), questions(home, 20), plan.responses + WARMING, cut)
    grams = ngrams(texts.part(0), plan.lookups)
    return Bench(indexes, indexes[plan.fixed], python, Peer(python, place, by), asked, grams, tokenizer)


def measure(bench: Bench, plan: Plan) -> None:
    """Ask both systems, index by index."""
    rows: dict[str, Figures] = {}
    for index in bench.indexes:
        rows[index.name] = _sizes(index, bench.python) | _asked(bench, index, plan)
        if index.segments == 1 and index.tokens >= bench.fixed.tokens:
            asked = [(*_ids(bench, each), each.prompt) for each in bench.asked[: plan.cold]]
            rows[index.name] |= cold.first_answers(bench.indexes[0], index, bench.peer, asked)
        _show(index.name, rows[index.name])
    fixed = rows[bench.fixed.name]
    cost = extrapolate(of_rows(rows))
    figures: Figures = {
        **{key: fixed[key] for key in ("span_cpu_ratio", "build_cpu_ratio", "bytes_per_token")},
        **{key: fixed[key] for key in ("trace_p50_ms", "trace_p95_ms")},
        "identical": all(row["texts_identical"] == row["texts_compared"] for row in rows.values())
        and all(row.get("lookups_identical", True) for row in rows.values()),
        **{key: fixed[key] for key in ("trace_p50_ratio", "count_p50_ms", "peer_count_p50_ms")},
        **{key: fixed[key] for key in ("find_p50_ms", "peer_find_p50_ms", "peer_bytes_per_token")},
        "terabytes_of_4_trillion": cost.terabytes,
        "cpu_s_of_4_trillion": cost.cpu_s,
    }
    draw(rows, RESULTS / "tracing.svg")
    finish("tracing", figures, {"infini-gram": peer.VERSION, **plan._asdict(), "rows": rows})


def _texts(home: Path, place: Path, plan: Plan) -> Texts:
    texts = Texts(place / "texts")
    first, then = (sources.pulled(home), ()) if plan is QUICK else (sources.documentation(home), sources.linux(home))
    texts.make(first, then, plan.sizes, ours.tokenizer())
    return texts


def _sizes(index: Index, python: Path) -> Figures:
    """What there is, and what building it took when it was built."""
    mine, theirs = index.build_ours(), index.build_peer(python)
    return {
        "tokens": index.tokens,
        "segments": theirs["shards"],
        "text_mb": sum(part.about["bytes"] for part in index.parts) / 1e6,
        "documents": sum(part.about["documents"] for part in index.parts),
        "tokenize_cpu_s": sum(part.about["tokenize_cpu_s"] for part in index.parts),
        **{f"build_{key}": mine[key] for key in ("cpu_s", "wall_s", "memory_mb")},
        **{f"peer_build_{key}": theirs[key] for key in ("cpu_s", "wall_s", "memory_mb")},
        "build_cpu_ratio": theirs["cpu_s"] / mine["cpu_s"],
        "bytes_per_token": mine["bytes"] / index.tokens,
        "peer_bytes_per_token": theirs["bytes"] / index.tokens,
    }


def _asked(bench: Bench, index: Index, plan: Plan) -> Figures:
    queries = [(*_ids(bench, each), each.prompt) for each in bench.asked]
    asked, warming = queries[: plan.responses // (1 + index.segments // MANY)], queries[plan.responses :]
    few = min(plan.spans, max(SPANS_LEAST, plan.spans // index.segments))
    with ours.process() as mine, bench.peer.process() as theirs:
        mine.ask("open", folder=str(index.ours))
        bench.peer.open(theirs, index.peer, index.segments)
        compare.warm(mine, theirs, warming)
        figures = compare.spans(mine, theirs, asked, few)
        smaller = index.segments == 1 and bench.indexes[0].tokens < index.tokens < bench.fixed.tokens
        traces = plan.traces if index is bench.fixed else plan.traces // 3 if smaller else 0
        figures |= compare.traces(mine, theirs, asked, traces)
        if index is bench.fixed:
            figures |= compare.lookups(mine, theirs, bench.grams, 20)
            figures |= compare.concurrent(mine, theirs, asked[:40], plan.calls)
    return figures


def _ids(bench: Bench, response: Response) -> tuple[list[int], str]:
    return bench.tokenizer.encode(response.text).ids.tolist(), response.text


def _show(name: str, row: Figures) -> None:
    table = Table("figure", name)
    for key, value in row.items():
        table.add_row(key, f"{value:.4g}" if isinstance(value, float) else str(value))
    Console().print(table)


if __name__ == "__main__":
    main()
