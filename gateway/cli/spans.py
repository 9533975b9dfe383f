"""Verbatim spans: marked in their text, by colour or else by angle quotes, and listed with their documents."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType
from rich.text import Text

from gateway.cli.terminal import TITLE_CHARACTERS, cut, table
from shared.contracts.tracing import ApproximateSpan, Relevance, Span, TracedDocument

STYLES: dict[Relevance, str] = {"low": "underline green", "medium": "bold green", "high": "bold black on green"}
COPIED = "italic yellow"
LEFT, RIGHT = "«", "»"
COPIED_LEFT, COPIED_RIGHT = "⟨", "⟩"
WORDS_CHARACTERS = 160


def marked(text: str, spans: Sequence[Span], *, colour: bool) -> Text:
    """The text with each span marked; offsets are code points, as Python counts.

    Spans that the model had just read look different. Where spans overlap, colour shows one that it had not read, of
    those the most relevant one, and quotes enclose them together.
    """
    if not colour:
        return Text(_quoted(text, spans))
    styled = Text(text)
    for span in sorted(spans, key=lambda span: (not span.copied, list(STYLES).index(span.relevance))):
        styled.stylize(COPIED if span.copied else STYLES[span.relevance], span.start, span.end)
    return styled


def legend(spans: Sequence[Span], *, colour: bool) -> Text | None:
    """What the marks mean, where some span was copied from what had just been read; None where none was."""
    if not any(span.copied for span in spans):
        return None
    shown = Text("\n")
    shown.append("so" if colour else f"{LEFT}so{RIGHT}", STYLES["medium"] if colour else "")
    shown.append(": verbatim in the corpora. ")
    shown.append("so" if colour else f"{COPIED_LEFT}so{COPIED_RIGHT}", COPIED if colour else "")
    shown.append(": that too, but copied from the prompt or a passage, which is not memorisation.")
    return shown


def span_table(spans: Sequence[Span], documents: Sequence[TracedDocument]) -> RenderableType | None:
    """Each span with how often and in which of a trace's documents it stands; None when there is none."""
    if not spans:
        return None
    named = {(document.corpus, document.id): document.title for document in documents}
    any_copied = any(span.copied for span in spans)
    rows = table("words", "times", "owner", "in documents", *(["just read in"] if any_copied else []))
    rows.columns[1].justify = "right"
    for span in spans:
        titles = list(
            dict.fromkeys(
                cut(named.get((match.corpus, match.id)) or match.id, TITLE_CHARACTERS) for match in span.documents
            )
        )
        more = f" and {len(titles) - 2} more" if len(titles) > 2 else ""
        rows.add_row(
            Text(cut(span.text, WORDS_CHARACTERS)),
            f"{span.count:,}",
            ", ".join(span.owners),
            Text("; ".join(titles[:2]) + more),
            *([_read_before(span)] if any_copied else []),
        )
    return rows


def _read_before(span: Span) -> str:
    """Where the model had just read a span's words, which are then no sign of what it has in memory."""
    passages = f"{len(span.in_passages)} passages" if len(span.in_passages) > 1 else "a passage"
    return ", ".join(part for part, there in (("the prompt", span.in_prompt), (passages, span.in_passages)) if there)


def approximate_table(spans: Sequence[ApproximateSpan]) -> RenderableType:
    """What stands nearly: the words as they were traced, and below them as they stand, what differs in brackets."""
    rows = table("similarity", "words, and as they stand", "owner", "in document")
    for span in spans:
        ours = _bracketed(span.text, [(one.start - span.start, one.end - span.start) for one in span.differences])
        theirs = _bracketed(span.snippet, [(one.match_start, one.match_end) for one in span.differences])
        rows.add_row(f"{span.similarity:.2f}", Text(f"{ours}\n{theirs}"), span.owner, Text(span.title or span.id))
    return rows


def _bracketed(text: str, stretches: Sequence[tuple[int, int]]) -> str:
    """On one line, with stretches in brackets."""
    parts, done = [], 0
    for start, end in stretches:
        parts += [text[done:start], "[", text[start:end], "]"]
        done = end
    return " ".join("".join([*parts, text[done:]]).split())


def _quoted(text: str, spans: Sequence[Span]) -> str:
    parts, done = [], 0
    for start, end, copied in _united(spans):
        left, right = (COPIED_LEFT, COPIED_RIGHT) if copied else (LEFT, RIGHT)
        parts += [text[done:start], left, text[start:end], right]
        done = end
    return "".join([*parts, text[done:]])


def _united(spans: Sequence[Span]) -> list[tuple[int, int, bool]]:
    """The stretches that the spans cover, in order, and whether all of one is copied; those that touch stay apart."""
    stretches: list[tuple[int, int, bool]] = []
    for span in sorted(spans, key=lambda span: span.start):
        if stretches and span.start < stretches[-1][1]:
            start, end, copied = stretches[-1]
            stretches[-1] = (start, max(end, span.end), copied and span.copied)
        else:
            stretches.append((span.start, span.end, span.copied))
    return stretches
