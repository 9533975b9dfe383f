"""A text with its verbatim spans marked: by colour where there is one, by angle quotes where there is none."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from shared.contracts.tracing import Span

STYLES = {"high": "bold black on green", "medium": "bold green", "low": "underline green"}
LEFT, RIGHT = "«", "»"


def marked(text: str, spans: Sequence[Span], *, colour: bool) -> Text:
    """The text with each span marked; offsets are code points, as Python counts."""
    if colour:
        styled = Text(text)
        for span in spans:
            styled.stylize(STYLES[span.relevance], span.start, span.end)
        return styled
    for place, mark in sorted(
        [(span.start, LEFT) for span in spans] + [(span.end, RIGHT) for span in spans],
        # from the end, so that places before stay true; where spans touch, » is put before «
        key=lambda item: (item[0], item[1] == LEFT),
        reverse=True,
    ):
        text = text[:place] + mark + text[place:]
    return Text(text)
