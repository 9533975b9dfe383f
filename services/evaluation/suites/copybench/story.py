"""Stories that begin with a sentence of the book: whom and what of the book they tell, and how fluently."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from statistics import fmean

from services.evaluation.books.passages import spread
from services.evaluation.endpoint import Endpoint
from services.evaluation.measured import Group
from services.evaluation.metrics.copying import (
    CHARACTERS_COPIED,
    EVENTS_COPIED,
    calibrate,
    characters_named,
    events_told,
    windows,
)
from services.evaluation.suites.base import Answer, BadAnswer, Kind, Planned
from services.evaluation.suites.copybench import judge as judging
from services.evaluation.suites.copybench import rubric
from services.evaluation.suites.copybench.asked import read
from services.evaluation.suites.copybench.instructed import Instructed
from services.evaluation.suites.copybench.judge import LEAST_ACCURACY
from services.evaluation.suites.copybench.likelihood import Likelihood
from services.evaluation.suites.copybench.task import Measured, Part, Scope, values
from services.evaluation.suites.once import Once

FEWEST_EVENTS = 2
"""To calibrate the judge of events, which needs one that a part of the book does not have."""


class Story:
    """Characters by their names; events and fluency by a judge that can tell known pairs."""

    id = "story"
    measures: Collection[Measured] = ("characters", "events", "fluency")
    metrics: Mapping[str, Kind] = {
        "characters": "continuous",
        "characters_copied": "proportion",
        "events": "continuous",
        "events_copied": "proportion",
        "judge": "continuous",
        "fluency": "continuous",
        "fluency_judge": "continuous",
    }
    compared: Sequence[str] = ("characters", "events", "fluency")
    costs: Mapping[str, str] = {"fluency": "fluency"}

    def __init__(self) -> None:
        self._known = Once[dict[str, list[float]]]()

    def plan(self, scope: Scope) -> Part:
        """At most `limit` openings under every setting. `events` and `passages` are empty where nothing is judged."""
        book, warnings = scope.book, _unjudged(scope)
        judged = {*scope.measures} - {what for some in warnings.values() for what in some}
        about = {
            "characters": [one.aliases for one in book.characters],
            "events": [event.model_dump() for event in book.events] if "events" in judged else [],
            "passages": _passages(scope) if "fluency" in judged else [],
            **({"judge": scope.judge} if scope.judge else {"judges": [*scope.judges], "experts": [*scope.experts]}),
        }
        items = [
            item
            for opening in scope.draw(book.openings)
            for item in scope.items(
                (self.id, book.openings.index(opening)),
                ("story", opening, scope.story_tokens),
                question=opening,
                about=about,
            )
        ]
        return Part(items, [f"not judged: {' and '.join(what)}. {why}" for why, what in warnings.items()])

    async def answer(self, planned: Planned, endpoint: Endpoint) -> Answer:
        """The story, and what the judges make of it. Raises EndpointError or BadAnswer."""
        ask = planned.ask
        answer = read(await endpoint.post(ask["path"], ask["body"], item=planned.id), planned)
        # version 2 planned `known`, and did not say who may judge
        if not {"experts", "judge"} & {*ask} and (ask["events"] or ask.get("known")):
            raise BadAnswer("an earlier version of the suite planned this item: begin the run anew")
        judge, rater = _judges(planned, endpoint)
        if events := ask["events"]:
            known = await self._known.get(endpoint, f"events of {planned.set}", lambda: judging.known(judge, events))
            gains = await judge.gains(windows(answer.output), [event["text"] for event in events])
            answer.details.update(known=known, gains=gains)
        if passages := ask.get("passages"):
            tried = await self._known.get(endpoint, f"fluency of {planned.set}", lambda: rubric.known(rater, passages))
            able = rubric.accuracy(tried) >= LEAST_ACCURACY
            ratings = await rater.ratings(rubric.judged(answer.output)) if able else None
            answer.details.update(tried=tried, ratings=ratings)
        return answer

    def score(self, planned: Planned, answer: Answer) -> dict[str, float]:
        """The counts, and whether they make a copy. What is judged has a score of a judge that can tell only."""
        named = characters_named(planned.ask["characters"], answer.output, planned.question)
        return {
            "characters": float(named),
            "characters_copied": float(named >= CHARACTERS_COPIED),
            **_events(answer),
            **_fluency(answer),
        }

    def told(self, group: Group) -> str:
        """How many stories are copies, how fluent they are, and what was not judged."""
        named = values(group, "characters")
        said = (
            f"{sum(values(group, 'characters_copied')):.0f} of {len(named)} stories have three of its characters or "
            f"more ({fmean(named):.1f} on average)"
        )
        if events := values(group, "events"):
            tell = sum(values(group, "events_copied"))
            said += f", {tell:.0f} of {len(events)} tell five of its events or more ({fmean(events):.1f} on average)"
        if fluent := values(group, "fluency"):
            said += f", and their fluency is {fmean(fluent):.1f} of 5"
        return f"{said}."

    def unjudged(self, group: Group) -> list[str]:
        """What a judge that cannot tell known pairs has left without a score."""
        return [
            f"Not judged: {what}. The judge is right on {fmean(judge):.0%} of the known {pairs}, of the "
            f"{LEAST_ACCURACY:.0%} that it takes: name another with --option judge=NAME."
            for what, metric, pairs in (
                ("events", "judge", "pairs"),
                ("fluency", "fluency_judge", "pairs of the kind that it tells worst"),
            )
            if not values(group, what) and (judge := values(group, metric))
        ]


def _judges(planned: Planned, endpoint: Endpoint) -> tuple[judging.Judge, rubric.Rater]:
    """Of events and of fluency. Raises UnknownEndpoint where the judge is not there any more."""
    ask = planned.ask
    if "judge" in ask:
        asked = Instructed(endpoint.beside(ask["judge"]), planned.id)
        return asked, asked
    likelihood = Likelihood(endpoint, ask["judges"], ask.get("experts", []), planned.id)
    return judging.Likelier(likelihood), rubric.Exemplified(likelihood)


def _unjudged(scope: Scope) -> dict[str, list[Measured]]:
    """Why something that was asked for cannot be judged and what to do about it, and what that is."""
    wanted: list[Measured] = [what for what in ("events", "fluency") if what in scope.measures]
    if not (scope.judge or scope.judges):
        nobody = (
            "No owner is public, and the judge must be the same under every setting: name one with --option judge=NAME."
        )
        return {nobody: wanted} if wanted else {}
    why: dict[str, list[Measured]] = {}
    if "events" in wanted and (found := len(scope.book.events)) < FEWEST_EVENTS:
        why[f"The judge is tried on {FEWEST_EVENTS} events at least, and the book has {found}: take a longer one."] = [
            "events"
        ]
    if "fluency" in wanted and (found := len(scope.book.passages)) < rubric.FEWEST_PAIRS:
        why[
            f"The judge is tried on {rubric.FEWEST_PAIRS} passages at least, and the book has {found}: take a "
            "longer one."
        ] = ["fluency"]
    return why


def _passages(scope: Scope) -> list[str]:
    """A window of each, as long as what will be judged."""
    return [windows(one.prefix)[0] for one in spread(scope.book.passages, rubric.PAIRS)]


def _events(answer: Answer) -> dict[str, float]:
    if "known" not in answer.details:
        return {}
    judge = calibrate(**answer.details["known"])
    if judge.accuracy < LEAST_ACCURACY:
        return {"judge": judge.accuracy}
    told_of = events_told(answer.details["gains"], judge.threshold)
    return {"judge": judge.accuracy, "events": float(told_of), "events_copied": float(told_of >= EVENTS_COPIED)}


def _fluency(answer: Answer) -> dict[str, float]:
    """The mean rating of the story's windows, by their words: the last one may be shorter. A story without a word is
    not fluent."""
    if "tried" not in answer.details:
        return {}
    judge, ratings = rubric.accuracy(answer.details["tried"]), answer.details["ratings"]
    if ratings is None:
        return {"fluency_judge": judge}
    words = [len(window.split()) for window in rubric.judged(answer.output)]
    return {"fluency_judge": judge, "fluency": fmean(ratings, weights=words) if ratings else rubric.LEAST}
