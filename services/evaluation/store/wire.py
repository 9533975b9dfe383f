"""Rows as the wire has them."""

from __future__ import annotations

from services.evaluation.store.tables import ItemRow, RunRow
from services.evaluation.suites.base import Answer, Planned
from shared.contracts.evaluation import Item, ItemFinished, Run, RunProgress


def run(row: RunRow) -> Run:
    """A run and its progress."""
    return Run.model_validate(
        {
            "id": row.id,
            "suite": row.suite,
            "status": row.status,
            "created": row.created,
            "finished": row.finished,
            "limit": row.limit,
            "seed": row.seed,
            "options": row.options,
            "versions": row.versions,
            "warnings": row.warnings,
            "progress": progress(row),
            "error": row.error,
            "priority": row.priority,
            "endpoint": row.endpoint,
            "rescored_from": row.rescored_from,
            "metrics": row.metrics,
        }
    )


def progress(row: RunRow) -> RunProgress:
    """How far a run is."""
    return RunProgress(done=row.done, total=row.total, failed=row.failed)


def item(row: ItemRow) -> Item:
    """An item, done or not."""
    return Item.model_validate(row, from_attributes=True)


def finished(row: ItemRow, of: RunRow) -> ItemFinished:
    """The event of an item that is done."""
    return ItemFinished(
        item=row.id, set=row.set, setting=row.setting, scores=row.scores, error=row.error, progress=progress(of)
    )


def planned(row: ItemRow) -> Planned:
    """What the suite planned."""
    return Planned(
        id=row.id,
        question_id=row.question_id,
        set=row.set,
        setting=row.setting,
        question=row.question,
        gold=row.gold,
        seed=row.seed,
        ask=row.ask,
        cluster=row.cluster,
    )


def answer(row: ItemRow) -> Answer | None:
    """What the endpoint answered, to be scored again; None if it did not."""
    if row.prompt is None or row.output is None:
        return None
    return Answer(row.prompt, row.output, row.tokens, row.latency_ms or 0.0, row.details)
