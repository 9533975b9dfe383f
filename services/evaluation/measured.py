"""What figures are made of: the scores of a run's items without their texts, by set and setting."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from shared.contracts.evaluation import Item

Place = tuple[str, str]
"""A set and a setting."""


@dataclass(frozen=True)
class Scored:
    """One item that has scores. `asked` is a hash of the question and its gold answers."""

    question: str
    cluster: str
    asked: bytes
    scores: dict[str, float]


@dataclass
class Group:
    """The items of one set under one setting that are done. `failed` has the cluster of each that has no scores."""

    scored: list[Scored] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)


def gather(items: Iterable[Item]) -> dict[Place, Group]:
    """The items that are done, in one pass; sets and settings in the order in which they first come."""
    sets: dict[str, None] = {}
    settings: dict[str, None] = {}
    found: dict[Place, Group] = {}
    for item in items:
        sets.setdefault(item.set)
        settings.setdefault(item.setting)
        if item.status != "planned":
            _add(item, found.setdefault((item.set, item.setting), Group()))
    order: Iterator[Place] = ((one, setting) for one in sets for setting in settings)
    return {place: found[place] for place in order if place in found}


def _add(item: Item, group: Group) -> None:
    if item.status == "failed":
        group.failed.append(item.cluster)
        return
    scores = dict(item.scores)
    if "finish_reason" in item.details:
        # the suite's own, where it has one
        scores.setdefault("truncated", float(item.details["finish_reason"] == "length"))
    group.scored.append(Scored(item.question_id, item.cluster, _asked(item), scores))
    if item.tokens is not None:
        group.tokens.append(item.tokens)
    if item.latency_ms is not None:
        group.latencies.append(item.latency_ms)


def _asked(item: Item) -> bytes:
    content = json.dumps([item.question, item.gold], ensure_ascii=False).encode("utf-8", "surrogatepass")
    return hashlib.sha256(content).digest()[:8]
