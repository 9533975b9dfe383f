"""The items of a comparison: each of the first run with what the others answered to the same question."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from services.evaluation.page.items import Entry
from services.evaluation.store.reading import Reader
from shared.contracts.evaluation import Item, RunsCompared

_PAGE = 100


def joined(store: Reader, compared: RunsCompared) -> Iterator[Entry]:
    """Entries in the order of the first run, read page by page."""
    base, *others = (run.id for run in compared.runs)
    settings = {(one.run, one.set, one.against_setting): one.setting for one in compared.pairings}
    items = iter(store.all_items(base))
    while page := list(islice(items, _PAGE)):
        answers = [_answers(store, other, page) for other in others]
        for item in page:
            found = (
                by_place.get((item.set, settings.get((other, item.set, item.setting)), item.question_id))
                for other, by_place in zip(others, answers, strict=True)
            )
            yield [item, *found]


def _answers(store: Reader, run: str, page: list[Item]) -> dict[tuple[str, str | None, str], Item]:
    items = store.of_questions(run, {item.question_id for item in page})
    return {(item.set, item.setting, item.question_id): item for item in items}
