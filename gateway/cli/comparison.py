"""Two answers to one question side by side: what leaving an owner out changed."""

from __future__ import annotations

from collections import Counter

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.cli.answer import bar
from shared.contracts.candor import ChatAnswer


def show_comparison(everyone: ChatAnswer, without: ChatAnswer, owner: str, console: Console) -> None:
    """Print answer, passages, spans and the owner's part, with everyone's data and without the owner's."""
    table = Table("", "with everyone's data", f"without {owner}", box=box.SIMPLE_HEAD, pad_edge=False)
    before, after = _lines(everyone, owner), _lines(without, owner)
    for what in before:
        changed = "" if before[what] == after[what] else "bold"
        table.add_row(what, Text(before[what]), Text(after[what], style=changed))
    console.print(table)


def _lines(answer: ChatAnswer, owner: str) -> dict[str, str]:
    report = answer.candor
    owners = Counter(passage.owner for passage in report.passages)
    spans = report.trace.spans if report.trace else []
    part = next((entry for entry in report.ledger if entry.owner == owner), None)
    return {
        "answer": answer.choices[0].message.content,
        "passages read": ", ".join(f"{count} of {name}" for name, count in owners.items()) or "none",
        "verbatim spans": f"{len(spans)}, {sum(span.end - span.start for span in spans)} characters",
        f"{owner}'s routing share": bar(part.routing_share) if part else "none",
        f"{owner}'s passages": str(part.passages) if part else "none",
        f"{owner}'s traced characters": str(part.traced_characters) if part else "none",
    }
