"""Whether a suite's plan can be kept, and its items paired."""

from __future__ import annotations

from services.evaluation.errors import BadPlan
from services.evaluation.suites.base import Plan, Suite


def check(plan: Plan, suite: Suite) -> None:
    """Raises BadPlan for no items, two items of one id, and a question that a setting of a set asks twice."""
    if not plan.items:
        raise BadPlan(suite.id, " ".join(["there is nothing to ask.", *plan.warnings]))
    ids, asked = set[str](), set[tuple[str, str, str]]()
    for item in plan.items:
        place = (item.set, item.setting, item.question_id)
        if item.id in ids:
            raise BadPlan(suite.id, f"it has two items of the id {item.id!r}.")
        if place in asked:
            raise BadPlan(
                suite.id,
                f"it asks the question {item.question_id!r} of {item.set!r} twice under {item.setting!r}, and no pair "
                "could be made of it. Give each a `question_id` of its own, and both one `cluster`.",
            )
        ids.add(item.id)
        asked.add(place)
