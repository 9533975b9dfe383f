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
    """A document, cut. `overlap`: by n, the share of its n-grams that other documents of the training split hold."""

    id: str
    text: str
    member: bool
    overlap: dict[int, float]


@dataclass
class Drawn:
    """Members and non-members in turn, as many of each; what was left out and why, in words.

    `spare`: other held-out documents, cut, that are none of them.
    """

    texts: list[Text] = field(default_factory=list)
    spare: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def draw(
    home: Path,
    owner: str,
    *,
    limit: int,
    seed: int,
    characters: int,
    spare: int = 0,
    sizes: Sequence[int] = (COPY_NGRAM,),
) -> Drawn:
    """At most `limit` held-out documents, drawn by the seed, each with the training document most like it in length.

    Both are of one source and cut to the length of the shorter, at most `characters`: else length and source would
    tell them apart. A smaller limit gives the first of a larger one's. Held-out documents that repeat the training
    split are left out. The first `spare` others are put aside. `sizes`: the n of the overlaps, COPY_NGRAM among them.
    Raises MissingData when nothing was pulled.
    """
    train, held = by_split(home, owner)
    known = {n: Collection([one.text for one in train], n) for n in sizes}
    pairs, copies, waiting = Drawn(), 0, _by_source(drawn(train, seed, lambda one: one.id))
    for other in drawn(held, seed, lambda one: one.id):
        candidates = waiting.get(other.source, [])
        if len(pairs.texts) == 2 * limit or not candidates:
            continue
        if _repeats(known[COPY_NGRAM], other.text, cut(other.text, characters)):
            copies += 1
            continue
        if len(pairs.spare) < spare:
            pairs.spare.append(cut(other.text, characters))
            continue
        wanted = min(len(other.text), characters)
        member = min(candidates, key=lambda one: abs(min(len(one.text), characters) - wanted))
        length = min(len(member.text), wanted)
        if _repeats(known[COPY_NGRAM], cut(other.text, length)):
            copies += 1
            continue
        candidates.remove(member)
        for document, inside in ((member, True), (other, False)):
            text = cut(document.text, length)
            shares = {n: one.overlap(text, inside=inside) for n, one in known.items()}
            overlap = {n: share for n, share in shares.items() if share is not None}
            pairs.texts.append(Text(document.id, text, inside, overlap))
    pairs.warnings += _warnings(owner, pairs.texts, limit, copies)
    return pairs


def by_split(home: Path, owner: str) -> tuple[list[Document], list[Document]]:
    """An owner's documents of the splits `train` and `heldout`. Raises MissingData when nothing was pulled."""
    splits: dict[str, list[Document]] = {"train": [], "heldout": []}
    for one in documents(home, owner):
        splits.setdefault(one.split, []).append(one)
    return splits["train"], splits["heldout"]


def _repeats(train: Collection, *texts: str) -> bool:
    """Whether a document repeats training text, whole or in the part that would be judged."""
    return any((train.overlap(text) or 0.0) >= COPY for text in texts)


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
    shares = [[one.overlap.get(COPY_NGRAM, 0.0) for one in texts if one.member is inside] for inside in (True, False)]
    if texts:
        members, others = (sum(found) / len(found) for found in shares)
        yield (
            f"{owner}: of the members' {COPY_NGRAM}-grams {members:.1%} stand in other training documents too, of the "
            f"non-members' {others:.1%}: such text an expert can know without the document."
        )
