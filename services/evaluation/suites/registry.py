"""The suites that can be run: those here, and those that installed packages bring."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.metadata import EntryPoint, entry_points

import structlog
from pydantic import BaseModel

from services.evaluation.calling import words
from services.evaluation.sound import json_kept
from services.evaluation.suites.base import KINDS, Separation, Suite
from services.evaluation.suites.copybench.suite import CopyBench
from services.evaluation.suites.harness.suite import LmEval
from services.evaluation.suites.membership.suite import Membership
from services.evaluation.suites.moe.suite import Moe
from services.evaluation.suites.owners.suite import Owners
from services.evaluation.suites.rag.suite import Rag
from services.evaluation.suites.rag_qa import RagQa
from services.evaluation.suites.retrieval import RetrievalSuite
from services.evaluation.suites.spurious.suite import SpuriousRewards
from services.evaluation.suites.thinking import Thinking

GROUP = "candor.suites"
"""The entry points of packages that bring suites: a class each, called without arguments."""

_CALLED = ("plan", "describe", "answer", "score")
_NEEDED = ("id", "version", "title", "description", "options", "metrics", "contrasts", "compared", *_CALLED)

_log = structlog.get_logger()


def load(ours: Iterable[Suite], points: Iterable[EntryPoint]) -> dict[str, Suite]:
    """By id: these suites, and then those of the entry points.

    A plug-in that cannot be loaded, is no suite, or has another's id is left out and the log says why: a fault of
    it does not stop the service.
    """
    suites = {suite.id: suite for suite in ours}
    for suite in _installed(points):
        if suite.id in suites:
            _log.error("a suite is left out: there is another of its id", suite=suite.id)
        else:
            suites[suite.id] = suite
    return suites


def _installed(points: Iterable[EntryPoint]) -> Iterator[Suite]:
    for point in sorted(points, key=lambda point: (point.name, point.value)):
        try:
            suite = point.load()()
        except BaseException as error:
            # also one that calls sys.exit: the service is not its program
            _log.error("a suite is left out: it cannot be loaded", entry_point=point.value, error=words(error))
            continue
        if faults := _faults(suite):
            _log.error("a suite is left out: it is not whole", entry_point=point.value, faults=faults)
        else:
            yield suite


def _faults(suite: Suite) -> list[str]:
    """What keeps a suite from being listed, run or reported."""
    try:
        if missing := [name for name in _NEEDED if not hasattr(suite, name)]:
            return [f"it has no {', '.join(missing)}"]
        texts = (suite.id, suite.version, suite.title, suite.description)
        json_kept(suite.options.model_json_schema())
        found = {
            "id, version, title and description are texts": all(isinstance(text, str) and text for text in texts),
            "plan, describe, answer and score can be called": all(callable(getattr(suite, name)) for name in _CALLED),
            "metrics have names": all(isinstance(name, str) and name for name in suite.metrics),
            "contrasts are pairs of settings": all(
                isinstance(one, str) and isinstance(other, str) for one, other in suite.contrasts
            ),
            "options are a pydantic model": issubclass(suite.options, BaseModel),
            f"metrics are of the kinds {', '.join(KINDS)}, or a Separation": all(
                kind in KINDS or isinstance(kind, Separation) for kind in suite.metrics.values()
            ),
            "what is compared is one of the metrics": {*suite.compared} <= {*suite.metrics},
        }
    except BaseException as error:
        return [words(error)]
    return [rule for rule, kept in found.items() if not kept]


SUITES: dict[str, Suite] = load(
    (
        RagQa(),
        Rag(),
        Thinking(),
        Owners(),
        CopyBench(),
        Membership(),
        Moe(),
        RetrievalSuite(),
        LmEval(),
        SpuriousRewards(),
    ),
    entry_points(group=GROUP),
)
"""By id, in the order in which they are listed."""
