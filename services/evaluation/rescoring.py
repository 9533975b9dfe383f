"""Scores of an answer that was given before, by a suite and by metrics beside the suite's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from services.evaluation import sound
from services.evaluation.calling import tried
from services.evaluation.errors import BadMetric
from services.evaluation.metrics.answers import contains_gold, exact_match, token_f1
from services.evaluation.suites.base import Answer, Kind, Planned, Suite

_Metric = Callable[[str, Sequence[str]], float]

ADDED: Mapping[str, tuple[Kind, _Metric]] = {
    "output_contains_gold": ("proportion", contains_gold),
    "output_f1": ("mean", token_f1),
    "output_exact_match": ("proportion", exact_match),
    "output_characters": ("mean", lambda output, _: float(len(output))),
}
"""Metrics of any output with gold answers, that a request can add to a suite's own: of the whole output, whatever short
answer the suite finds in it. A suite's of the same name wins."""


def check_metrics(names: Sequence[str]) -> None:
    """Raises BadMetric for a name that is not among those there are."""
    for name in names:
        if name not in ADDED:
            raise BadMetric(name, ADDED)


def kinds(suite: Suite, added: Sequence[str]) -> dict[str, Kind]:
    """The metrics of a run and of which kind each is: the suite's in its order, then those that were added."""
    return {**suite.metrics, **{name: ADDED[name][0] for name in added if name not in suite.metrics}}


def scored(suite: Suite, added: Sequence[str], planned: Planned, answer: Answer) -> dict[str, float]:
    """The scores of an answer. Raises BadAnswer or SuiteFailed for one that the suite cannot read."""
    more = {name: ADDED[name][1](answer.output, planned.gold) for name in added}
    own = tried(suite.id, "score", lambda: sound.scores(suite, suite.score(planned, answer)))
    return {**more, **own}
