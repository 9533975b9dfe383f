"""A ranking of documents against graded judgements, as trec_eval defines the measures: what is not judged is not
relevant, and what is judged counts in the ideal whether it could be found or not."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence


def ndcg(ranking: Sequence[str], grades: Mapping[str, int], depth: int) -> float:
    """Normalised discounted cumulative gain at `depth` (Järvelin & Kekäläinen 2002), with the grade as gain.

    Raises ValueError if nothing is relevant.
    """
    ideal = _gain(sorted((max(grade, 0) for grade in grades.values()), reverse=True)[:depth])
    if ideal == 0:
        raise ValueError("no document is relevant")
    return _gain(max(grades.get(document, 0), 0) for document in ranking[:depth]) / ideal


def recall(ranking: Sequence[str], grades: Mapping[str, int], depth: int) -> float:
    """Share of the relevant documents (grade above 0) among the first `depth`. Raises ValueError if there are none."""
    relevant = {document for document, grade in grades.items() if grade > 0}
    if not relevant:
        raise ValueError("no document is relevant")
    return len(relevant & {*ranking[:depth]}) / len(relevant)


def reciprocal_rank(ranking: Sequence[str], grades: Mapping[str, int], depth: int) -> float:
    """1 / rank of the first relevant document among the first `depth`, else 0."""
    ranks = (rank for rank, document in enumerate(ranking[:depth], start=1) if grades.get(document, 0) > 0)
    return 1 / next(ranks, math.inf)


def _gain(grades: Iterable[int]) -> float:
    return sum(grade / math.log2(rank + 1) for rank, grade in enumerate(grades, start=1))
