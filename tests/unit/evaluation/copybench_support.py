"""What the suite `copybench` plans of a book, and items as if they had been asked."""

from pathlib import Path
from typing import Any

from services.evaluation.books.build import build
from services.evaluation.books.file import Book, write
from services.evaluation.plans import check
from services.evaluation.suites.base import Plan, Planned
from services.evaluation.suites.copybench.suite import CopyBench, CopyBenchOptions
from shared.contracts.evaluation import Item
from tests.unit.evaluation.story import file, story


def written(home: Path) -> Book:
    """A book in a data folder, of papers, which has an expert and can be left out."""
    (home / "lantern.txt").write_text(file(story()))
    made = build(home / "lantern.txt", "papers")
    write(made, home)
    return made


def plan(home: Path, limit: int = 3, **options: Any) -> Plan:
    """Of the books in a data folder."""
    return CopyBench().plan(CopyBenchOptions(**options), limit, 0, home)


def planned(home: Path, measure: str, **options: Any) -> list[Planned]:
    """The items of one measure."""
    made = plan(home, measures=[measure], **options)
    check(made, CopyBench())
    return made.items


def done(item: Planned, scores: dict[str, float]) -> Item:
    """An item as if it had been asked and had these scores."""
    about: dict[str, Any] = {name: getattr(item, name) for name in ("id", "question_id", "setting", "set", "question")}
    return Item(
        **about,
        cluster=item.question_id,
        status="scored",
        gold=item.gold,
        prompt="",
        output="",
        scores=scores,
        tokens=1,
        latency_ms=1.0,
        seed=item.seed,
        error=None,
    )
