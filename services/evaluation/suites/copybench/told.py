"""A run in plain words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean

from services.evaluation.measured import Group, gather
from shared.contracts.evaluation import Item


def told(items: Iterable[Item]) -> list[str]:
    """A paragraph for each book and kind of item: how many of how many are copies under each setting."""
    paragraphs: dict[str, list[str]] = {}
    for (name, setting), group in gather(items).items():
        if group.scored:
            say = _literal if name.startswith("literal/") else _story
            paragraphs.setdefault(name, []).append(f"{setting}: {say(group)}")
    return [f"{name}. " + " ".join(said) for name, said in paragraphs.items()]


def _literal(group: Group) -> str:
    copied, likeness = _of(group, "literal_copied"), _of(group, "rouge_l")
    return (
        f"{sum(copied):.0f} of {len(copied)} passages are gone on with as the book does (ROUGE-L {fmean(likeness):.2f} "
        f"on average, {max(likeness):.2f} at most)."
    )


def _story(group: Group) -> str:
    named, events, judge = (_of(group, metric) for metric in ("characters", "events", "judge"))
    copied = sum(_of(group, "characters_copied"))
    said = f"{copied:.0f} of {len(named)} stories have three of its characters or more ({fmean(named):.1f} on average)"
    if events:
        tell = sum(_of(group, "events_copied"))
        return f"{said}, {tell:.0f} of {len(events)} tell five of its events or more ({fmean(events):.1f} on average)."
    if judge:
        return f"{said}; events are not judged, since the judge is right on {fmean(judge):.0%} of the known pairs only."
    return f"{said}."


def _of(group: Group, metric: str) -> Sequence[float]:
    return [one.scores[metric] for one in group.scored if metric in one.scores]
