"""Citations: which passage supports which sentence of an answer, and the `[n]` that says so.

The markers are the gateway's, decided from the texts alone; those that a model writes by itself are taken out,
because nothing vouches for them. A sentence is cited when a passage holds its short answer word for word, or else
at least `OVERLAP` of its content words; of several passages the one that shares most words with sentence and
question, the higher rank on a tie. Without support there is no marker.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gateway.pipeline.sentences import is_abbreviated
from gateway.pipeline.short_answer import contains, normalise, own_words
from shared.contracts.candor import ReadPassage
from shared.contracts.tracing import ApproximateSpan, Difference, Span

OVERLAP = 0.6
LEAST_WORDS = 3
"""Content words a sentence needs for its overlap to mean anything."""

# spans of the tracing service end at a full stop or a newline: a marker there never stands inside one
_STOP = re.compile(r"\.[\"')\]\u201d\u2019]*(?=\s|$)|[^\n](?=\n|$)")
_OWN_MARKER = re.compile(r"(?:[ \t]+|(?<=[.,;:!?])|^)((?:\[\d{1,2}\])+)", re.MULTILINE)
_OWN_HEADING = re.compile(r"\A\s*(?:(?:Context|Question|Answer):\s*)+")
_EMPTY = frozenset(
    re.findall(
        r"\w+",
        """a an and are as at be been but by can did do does for from had has have he her his how i if in is it its may
        not of on or she so than that the their them there they this to was we were what when where which who why will
        with would you yes no true false unknown none answer""",
    )
)
"""Words that say nothing of what a sentence is about."""


@dataclass(frozen=True)
class Citation:
    """Passage n supports the sentence that ends before code point `at` of the unmarked text."""

    at: int
    n: int


@dataclass(frozen=True)
class Marked:
    """An answer with its markers. `citations[i]` stands at `marks[i]` = (start, end) of `text`."""

    plain: str
    text: str
    citations: tuple[Citation, ...]
    marks: tuple[tuple[int, int], ...]

    def moved(self, spans: Sequence[Span]) -> list[Span]:
        """Spans of the plain text as spans of the marked one; one that a marker would split is left out."""
        return [span.model_copy(update=self._moved(span)) for span in spans if self._whole(span)]

    def moved_nearly(self, spans: Sequence[ApproximateSpan]) -> list[ApproximateSpan]:
        """The same of approximate ones, with their differences."""
        return [
            span.model_copy(
                update=self._moved(span)
                | {"differences": [one.model_copy(update=self._moved(one, span.start)) for one in span.differences]}
            )
            for span in spans
            if self._whole(span)
        ]

    def _whole(self, span: Span | ApproximateSpan) -> bool:
        return not any(span.start < citation.at < span.end for citation in self.citations)

    def _moved(self, part: Span | ApproximateSpan | Difference, start: int | None = None) -> dict[str, Any]:
        """Where a part is in the marked text; one of a span goes with it, which begins at `start`."""
        begins = part.start if start is None else start
        marks = zip(self.citations, self.marks, strict=True)
        shift = sum(end - first for citation, (first, end) in marks if citation.at <= begins)
        return {"start": part.start + shift, "end": part.end + shift}


def cite(text: str, question: str, passages: Sequence[ReadPassage]) -> list[Citation]:
    """The passage that supports each sentence, where one does."""
    read = [(passage.n, tuple(normalise(passage.text))) for passage in passages]
    asked = set(normalise(question)) - _EMPTY
    citations = []
    for sentence, end in _sentences(text):
        if (n := _support(sentence, question, asked, read)) is not None:
            citations.append(Citation(end, n))
    return citations


def at_end(citations: Sequence[Citation], text: str) -> list[Citation]:
    """The same passages cited once each after the whole text: where a stream can still put them."""
    return [Citation(len(text), n) for n in dict.fromkeys(citation.n for citation in citations)]


def mark(text: str, citations: Sequence[Citation]) -> Marked:
    """The text with ` [n]` after each sentence cited."""
    pieces: list[str] = []
    marks: list[tuple[int, int]] = []
    done, length = 0, 0
    for citation in citations:
        marker = f" [{citation.n}]"
        pieces += [text[done : citation.at], marker]
        length += citation.at - done + len(marker)
        marks.append((length - len(marker), length))
        done = citation.at
    return Marked(text, "".join([*pieces, text[done:]]), tuple(citations), tuple(marks))


def without_markers(text: str, passages: int) -> str:
    """The text less the `[n]` that the model wrote for passages it was given; `x[1]` in code is none of them."""

    def drop(found: re.Match[str]) -> str:
        ours = all(1 <= int(n) <= passages for n in re.findall(r"\d+", found[1]))
        return "" if ours else found.group()

    return _OWN_MARKER.sub(drop, text) if passages else text


def without_heading(text: str) -> str:
    """The text less a heading of the prompt's, which a small model may repeat before it answers."""
    return _OWN_HEADING.sub("", text)


def _sentences(text: str) -> list[tuple[str, int]]:
    """Each sentence with the offset of its end."""
    sentences, start = [], 0
    for stop in _STOP.finditer(text):
        within_a_line = text[stop.end() : stop.end() + 1] not in ("", "\n")
        if within_a_line and is_abbreviated(text[: stop.start() + 1]):
            continue
        if text[start : stop.end()].strip():
            sentences.append((text[start : stop.end()], stop.end()))
        start = stop.end()
    return sentences


def _support(sentence: str, question: str, asked: set[str], read: list[tuple[int, tuple[str, ...]]]) -> int | None:
    core = _trimmed(own_words(sentence, question) or normalise(sentence))
    if not core:
        return None
    telling, content = set(core) - _EMPTY, set(normalise(sentence)) - _EMPTY
    best: tuple[float, int] | None = None
    for n, words in read:
        held = set(words)
        verbatim = contains(words, core)
        overlap = len(content & held) / len(content)
        if verbatim or (len(content) >= LEAST_WORDS and telling & held and overlap >= OVERLAP):
            score = 2.0 * verbatim + overlap + len(asked & held) / (len(asked) or 1)
            if best is None or score > best[0]:
                best = score, n
    return best[1] if best else None


def _trimmed(words: list[str]) -> tuple[str, ...]:
    """Without the empty words at either end."""
    telling = [at for at, word in enumerate(words) if word not in _EMPTY]
    return tuple(words[telling[0] : telling[-1] + 1]) if telling else ()
