"""How an answer looks on a terminal: the answer, then who and what it rests on."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, RenderableType
from rich.panel import Panel
from rich.text import Text

from gateway.cli.spans import legend, marked, span_table
from gateway.cli.terminal import TITLE_CHARACTERS, cut, table
from shared.contracts.candor import CandorReport, ChatAnswer, LedgerEntry, ReadPassage, Sample
from shared.contracts.model import PUBLIC
from shared.contracts.retrieval import PassageScores

BAR_CELLS = 10
SNIPPET_CHARACTERS = 160


def show_answer(answer: ChatAnswer, console: Console) -> None:
    """Print the answer with its spans marked, passages, samples, spans, ledger, timings and what failed."""
    report, text = answer.candor, answer.choices[0].message.content
    spans = report.trace.spans if report.trace else []
    documents = report.trace.documents if report.trace else []
    console.print(Panel(marked(text, spans, colour=bool(console.color_system)), title="Answer", title_align="left"))
    if (marks := legend(spans, colour=bool(console.color_system))) is not None:
        console.print(marks)
    for title, part in (
        ("Passages it read", _passages(report.passages)),
        ("Samples that voted", _samples(report.samples, report.winner)),
        ("Where its words stand verbatim", span_table(spans, documents)),
        ("Whose data took part", _ledger(report.ledger)),
    ):
        if part is not None:
            console.print(Text(f"\n{title}", style="bold"))
            console.print(part)
    for line in _footer(report, searched=report.trace is not None, found=bool(spans)):
        console.print(line, soft_wrap=True)


def _passages(passages: Sequence[ReadPassage]) -> RenderableType | None:
    if not passages:
        return None
    rows = table("n", "owner", "source", "score", "text")
    for passage in passages:
        title = cut(passage.title, TITLE_CHARACTERS)
        where = f"{passage.source}: {title}" if title else passage.source
        rows.add_row(
            Text(f"[{passage.n}]"), passage.owner, Text(where), _score(passage.scores), _one_line(passage.text)
        )
    return rows


def _samples(samples: Sequence[Sample], winner: int) -> RenderableType | None:
    if not samples:
        return None
    rows = table("", "answer", "votes", "confidence", "tokens", "end")
    for column in rows.columns[2:5]:
        column.justify = "right"
    for number, sample in enumerate(samples):
        rows.add_row(
            "*" if number == winner else "",
            _one_line(sample.answer or sample.text),
            f"{sample.votes:.3g}",
            "" if sample.confidence is None else f"{sample.confidence:.3f}",
            str(sample.tokens),
            sample.finish_reason,
            style="bold" if number == winner else "",
        )
    return rows


def _ledger(ledger: Sequence[LedgerEntry]) -> RenderableType | None:
    if not ledger:
        return None
    rows = table("owner", "experts", "routing share", "passages", "traced characters")
    for column in rows.columns[3:]:
        column.justify = "right"
    for entry in ledger:
        rows.add_row(
            entry.owner,
            ", ".join(entry.experts),
            bar(entry.routing_share),
            str(entry.passages),
            str(entry.traced_characters),
        )
    # shares are of the router's probability mass, which is 1: what is no owner's is the public expert's
    rows.add_row("(no owner)", PUBLIC, bar(max(0.0, 1 - sum(entry.routing_share for entry in ledger))), style="dim")
    return rows


def bar(share: float) -> str:
    """A share of 1 as a bar and in percent."""
    full = round(share * BAR_CELLS)
    return f"{'█' * full}{'░' * (BAR_CELLS - full)} {share:6.1%}"


def _footer(report: CandorReport, *, searched: bool, found: bool) -> list[Text]:
    lines = [Text()]
    if searched and not found:
        lines.append(Text("No verbatim span of it was found in the corpora searched."))
    if out := [owner for owner in report.owners.permitted if owner not in report.owners.effective]:
        lines.append(Text(f"Left out: {', '.join(out)}", style="bold"))
    lines += [Text(f"Without {failed.stage}: {failed.error}", style="bold red") for failed in report.failed]
    lines += [Text(f"Note: {warning}", style="yellow") for warning in report.warnings]
    timings = report.timings.model_dump(exclude={"total"})
    asked = {stage: spent for stage, spent in timings.items() if spent or stage not in ("rewrite", "rerank", "verify")}
    stages = " · ".join(f"{stage} {spent:,.0f}" for stage, spent in asked.items())
    lines.append(Text(f"{report.timings.total:,.0f} ms: {stages}   ({report.id})", style="dim"))
    return lines


def _score(scores: PassageScores) -> str:
    """The last stage's score, with the stage's name, for scores of different stages do not compare."""
    named = [
        (name, score)
        for name in ("rerank", "fused", "exact", "bm25", "ann")
        if (score := getattr(scores, name)) is not None
    ]
    return f"{named[0][0]} {named[0][1]:.3f}" if named else ""


def _one_line(text: str) -> Text:
    return Text(cut(text, SNIPPET_CHARACTERS))
