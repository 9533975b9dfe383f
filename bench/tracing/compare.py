"""Both systems asked the same, in turn, each in a process of its own that takes its own times."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from bench.result import Figures
from bench.tracing.protocol import Worker

MOST = 10
"""Occurrences at most of the spans that are compared."""
PRODUCTION = 1_000_000
POINTERS = 20_000_000
DOCUMENTS, VIEW = 10, 250
"""Documents a span, and tokens on either side of a match that are fetched of each."""
CALLERS = (1, 2, 4, 8)

Answer = dict[str, Any]
Asked = Sequence[tuple[list[int], str, str]]
"""Texts as token ids and as such, each with its prompt."""


def warm(ours: Worker, peer: Worker, asked: Asked) -> None:
    """Let both answer what is not measured."""
    for ids, text, prompt in asked:
        ours.ask("spans", ids=ids, max_count=MOST)
        ours.ask("trace", text=text, prompt=prompt)
    for ids, _, _ in asked[:4]:
        peer.ask("spans", ids=ids, max_count=MOST)


def spans(ours: Worker, peer: Worker, asked: Asked, of_peer: int) -> Figures:
    """Spans by the peer's rules; of the first `of_peer` texts also the peer's. The ratio is over those.

    `identical` of them have the same spans with the same counts.
    """
    mine, own, theirs, identical, found = [], [], [], 0, 0
    for number, (ids, text, _) in enumerate(asked):
        answer = ours.ask("spans", ids=ids, max_count=MOST)
        mine.append(answer)
        own.append(ours.ask("own_spans", text=text, max_count=MOST))
        if number < of_peer:
            theirs.append(peer.ask("spans", ids=ids, max_count=MOST))
            identical += theirs[-1]["spans"] == answer["spans"]
            found += len(answer["spans"])
    compared = mine[: len(theirs)]
    return {
        "spans_cpu_ms": _mean(mine, "cpu"),
        **_quantiles("spans", mine),
        "spans_own_rules_cpu_ms": _mean(own, "cpu"),
        "peer_spans_cpu_ms": _mean(theirs, "cpu"),
        **_quantiles("peer_spans", theirs),
        "span_cpu_ratio": _mean(theirs, "cpu") / _mean(compared, "cpu"),
        "texts": len(asked),
        "texts_compared": len(theirs),
        "texts_identical": identical,
        "spans_compared": found,
    }


def traces(ours: Worker, peer: Worker, asked: Asked, of_peer: int) -> Figures:
    """The whole trace with production settings; the peer has no BM25 and is asked for none.

    It makes a Python object for every occurrence of every span: texts with more than POINTERS are not asked of it,
    since the memory would not do, and counted in `peer_traces_too_large`. The ratio is over those both were asked.
    """
    mine: list[Answer] = []
    both: list[Answer] = []
    theirs: list[Answer] = []
    too_large = 0
    for ids, text, prompt in asked:
        mine.append(ours.ask("trace", text=text, prompt=prompt))
        if len(theirs) == of_peer:
            continue
        if sum(count for _, _, count in ours.ask("spans", ids=ids, max_count=PRODUCTION)["spans"]) > POINTERS:
            too_large += 1
            continue
        theirs.append(peer.ask("trace", ids=ids, most=PRODUCTION, documents=DOCUMENTS, context=VIEW))
        both.append(mine[-1])
    figures: Figures = {
        "trace_cpu_ms": _mean(mine, "cpu"),
        **_quantiles("trace", mine),
        "trace_spans": statistics.mean(each["spans"] for each in mine),
        "trace_documents": statistics.mean(each["documents"] for each in mine),
    }
    for step in mine[0]["steps"]:
        figures[f"trace_{step}_p50_ms"] = statistics.median(each["steps"][step] for each in mine)
    if theirs:
        figures |= {
            "peer_trace_cpu_ms": _mean(theirs, "cpu"),
            **_quantiles("peer_trace", theirs),
            "trace_p50_ratio": statistics.median(each["wall"] for each in theirs)
            / statistics.median(each["wall"] for each in both),
            "peer_traces": len(theirs),
            "peer_traces_too_large": too_large,
        }
    return figures


def lookups(ours: Worker, peer: Worker, ngrams: Mapping[int, list[list[int]]], repeats: int) -> Figures:
    """Milliseconds of a call of count and find from Python, p50 for each length; `lookups_identical`: all counts are
    the same."""
    figures: Figures = {}
    same = True
    for length, queries in ngrams.items():
        for what in ("count", "find"):
            mine, theirs = (each.ask(what, queries=queries, repeats=repeats) for each in (ours, peer))
            same &= mine["counts"] == theirs["counts"]
            figures[f"{what}_{length}_p50_ms"] = statistics.median(mine["walls"])
            figures[f"peer_{what}_{length}_p50_ms"] = statistics.median(theirs["walls"])
    for what in ("count", "find"):
        for who in ("", "peer_"):
            by_length = [figures[f"{who}{what}_{length}_p50_ms"] for length in ngrams]
            figures[f"{who}{what}_p50_ms"] = statistics.median(each for each in by_length if each is not None)
    return figures | {"lookups_identical": same}


def concurrent(ours: Worker, peer: Worker, asked: Asked, calls: int) -> Figures:
    """Spans and whole traces a second, and how long one takes, with 1 to 8 callers, threads of one process."""
    ids, texts = [each[0] for each in asked], [each[1:] for each in asked]
    figures: Figures = {}
    for threads in CALLERS:
        for name, worker, what, arguments, count in (
            ("spans", ours, "spans", ids, 8 * calls),
            ("trace", ours, "trace", texts, calls),
            ("peer_spans", peer, "spans", ids, calls),
        ):
            took = worker.ask("callers", what=what, arguments=arguments, threads=threads, calls=count)
            p50, p95 = quantiles(took["walls"])
            figures |= {
                f"{name}_a_second_of_{threads}": count / took["seconds"],
                f"{name}_p50_ms_of_{threads}": p50,
                f"{name}_p95_ms_of_{threads}": p95,
            }
    return figures


def quantiles(times: Sequence[float]) -> tuple[float, float]:
    """Median and 95th percentile, the latter as the smallest time that at least 95% are not above."""
    ordered = sorted(times)
    return statistics.median(ordered), ordered[math.ceil(0.95 * len(ordered)) - 1]


def _quantiles(name: str, answers: Sequence[Mapping[str, Any]]) -> Figures:
    p50, p95 = quantiles([each["wall"] for each in answers])
    return {f"{name}_p50_ms": p50, f"{name}_p95_ms": p95}


def _mean(answers: Sequence[Mapping[str, Any]], key: str) -> float:
    return float(statistics.mean(each[key] for each in answers))
