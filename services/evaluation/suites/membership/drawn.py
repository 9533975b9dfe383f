"""Documents that an owner's expert was trained on, and documents of the same owner and length that it was not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from services.evaluation.metrics.overlap import Collection
from services.evaluation.suites.drawing import drawn
from services.evaluation.suites.texts import Document, cut, documents

COPY = 0.8
"""The share of 13-grams from which on a non-member is a copy of training text, and left out (MIMIR's own bound)."""

COPY_NGRAM = 13


@dataclass(frozen=True)
class Text:
    """A document, cut. `overlap`: the share of its 13-grams that other documents of the training split hold."""

    id: str
    text: str
    member: bool
    overlap: float | None


@dataclass
class Drawn:
    """Members and non-members in turn, as many of each; what was left out and why, in words."""

    texts: list[Text] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def draw(home: Path, owner: str, *, limit: int, seed: int, characters: int) -> Drawn:
    """At most `limit` held-out documents, drawn by the seed, each with the training document most like it in length.

    Both are of one source and cut to the length of the shorter, at most `characters`: else length and source would
    tell them apart. A smaller limit gives the first of a larger one's. Held-out documents that repeat the training
    split are left out. Raises MissingData when nothing was pulled.
    """
    splits: dict[str | None, list[Document]] = {"train": [], "heldout": []}
    for one in documents(home, owner):
        splits.setdefault(one.split, []).append(one)
    train, held = splits["train"], splits["heldout"]
    known, pairs, copies = Collection([one.text for one in train], COPY_NGRAM), Drawn(), 0
    waiting = _by_source(drawn(train, seed, lambda one: one.id))
    for other in drawn(held, seed, lambda one: one.id):
        candidates = waiting.get(other.source, [])
        if len(pairs.texts) == 2 * limit or not candidates:
            continue
        if (known.overlap(other.text) or 0.0) >= COPY:
            copies += 1
            continue
        wanted = min(len(other.text), characters)
        member = min(candidates, key=lambda one: abs(min(len(one.text), characters) - wanted))
        candidates.remove(member)
        length = min(len(member.text), wanted)
        for document, inside in ((member, True), (other, False)):
            text = cut(document.text, length)
            pairs.texts.append(Text(document.id, text, inside, known.overlap(text, inside=inside)))
    pairs.warnings += _warnings(owner, pairs.texts, limit, copies)
    return pairs


def _by_source(documents: Sequence[Document]) -> dict[str, list[Document]]:
    found: dict[str, list[Document]] = {}
    for one in documents:
        found.setdefault(one.source, []).append(one)
    return found


def _warnings(owner: str, texts: Sequence[Text], limit: int, copies: int) -> Iterator[str]:
    if copies:
        yield f"{owner}: {copies} held-out documents repeat training text and are no non-members; left out."
    if len(texts) < 2 * limit:
        yield f"{owner} has {len(texts) // 2} pairs of a member and a non-member of the {limit} asked for."
    shares = [[one.overlap or 0.0 for one in texts if one.member is inside] for inside in (True, False)]
    if texts:
        members, others = (sum(found) / len(found) for found in shares)
        yield (
            f"{owner}: of the members' {COPY_NGRAM}-grams {members:.1%} stand in other training documents too, of the "
            f"non-members' {others:.1%}: such text an expert can know without the document."
        )
