"""What fine-tuning an encoder changed, in figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from services.evaluation.metrics.ranking import ndcg, recall, reciprocal_rank
from services.evaluation.statistics.intervals import bootstrap

DEPTH = 10

_FIGURES: dict[str, Callable[[Sequence[str], Mapping[str, int]], float]] = {
    "recall@1": partial(recall, depth=1),
    "recall@10": partial(recall, depth=DEPTH),
    "MRR@10": partial(reciprocal_rank, depth=DEPTH),
    "nDCG@10": partial(ndcg, depth=DEPTH),
}


def gains(
    judgements: Mapping[str, Mapping[str, int]], before: Mapping[str, Sequence[str]], after: Mapping[str, Sequence[str]]
) -> Iterator[str]:
    """A line a figure: both means over the queries, and the paired difference with its 95 % interval."""
    for name, figure in _FIGURES.items():
        was, now = ([figure(ranks[query], grades) for query, grades in judgements.items()] for ranks in (before, after))
        gain = bootstrap([late - early for early, late in zip(was, now, strict=True)])
        yield (
            f"{name}: {sum(was) / len(was):.3f} -> {sum(now) / len(now):.3f}, "
            f"difference {gain.mean:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"
        )
