"""Verbatim spans: marked in their text, by colour or else by angle quotes, and listed with their documents."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType
from rich.text import Text

from gateway.cli.terminal import TITLE_CHARACTERS, cut, table
from shared.contracts.tracing import Relevance, Span

STYLES: dict[Relevance, str] = {"low": "underline green", "medium": "bold green", "high": "bold black on green"}
LEFT, RIGHT = "«", "»"
WORDS_CHARACTERS = 160


def marked(text: str, spans: Sequence[Span], *, colour: bool) -> Text:
    """The text with each span marked; offsets are code points, as Python counts.

    Where spans overlap, colour shows the more relevant one, and quotes enclose them together.
    """
    if not colour:
        return Text(_quoted(text, spans))
    styled = Text(text)
    for span in sorted(spans, key=lambda span: list(STYLES).index(span.relevance)):
        styled.stylize(STYLES[span.relevance], span.start, span.end)
    return styled


def span_table(spans: Sequence[Span]) -> RenderableType | None:
    """Each span with how often and in whose documents it stands; None when there is none."""
    if not spans:
        return None
    rows = table("words", "times", "owner", "in documents", "read before in")
    rows.columns[1].justify = "right"
    for span in spans:
        titles = list(
            dict.fromkeys(cut(document.title or document.id, TITLE_CHARACTERS) for document in span.documents)
        )
        more = f" and {len(titles) - 2} more" if len(titles) > 2 else ""
        rows.add_row(
            Text(cut(span.text, WORDS_CHARACTERS)),
            f"{span.count:,}",
            ", ".join(span.owners),
            Text("; ".join(titles[:2]) + more),
            _read_before(span),
        )
    return rows


def _read_before(span: Span) -> str:
    """Where the model had just read a span's words, which are then no sign of what it has in memory."""
    passages = f"{len(span.in_passages)} passages" if len(span.in_passages) > 1 else "a passage"
    return ", ".join(part for part, there in (("the question", span.in_prompt), (passages, span.in_passages)) if there)


def _quoted(text: str, spans: Sequence[Span]) -> str:
    parts, done = [], 0
    for start, end in _united(spans):
        parts += [text[done:start], LEFT, text[start:end], RIGHT]
        done = end
    return "".join([*parts, text[done:]])


def _united(spans: Sequence[Span]) -> list[tuple[int, int]]:
    """The stretches that the spans cover, in order; those that only touch stay apart."""
    stretches: list[tuple[int, int]] = []
    for span in sorted(spans, key=lambda span: span.start):
        if stretches and span.start < stretches[-1][1]:
            stretches[-1] = (stretches[-1][0], max(stretches[-1][1], span.end))
        else:
            stretches.append((span.start, span.end))
    return stretches
