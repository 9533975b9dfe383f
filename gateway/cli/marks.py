"""A text with its verbatim spans marked: by colour where there is one, by angle quotes where there is none."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from shared.contracts.tracing import Relevance, Span

STYLES: dict[Relevance, str] = {"low": "underline green", "medium": "bold green", "high": "bold black on green"}
LEFT, RIGHT = "«", "»"


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
