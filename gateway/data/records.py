"""The two kinds of line that the texts and questions are made of, and the rule that holds documents out."""

from __future__ import annotations

import hashlib
import string
import textwrap
from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict

HELD_OUT_ONE_IN = 10
_OUTER = string.punctuation + string.whitespace


class Document(BaseModel):
    """One document of an owner: a line of texts/OWNER/SOURCE.jsonl. `id` is "SOURCE:key", unique over all sources."""

    model_config = ConfigDict(frozen=True)

    id: str
    text: str
    title: str
    owner: str
    source: str
    licence: str
    url: str | None = None
    split: Literal["train", "heldout"]


class Question(BaseModel):
    """One question with acceptable answers: a line of questions/SET.jsonl.

    `document` is the id of the document that answers it, `context` the turns of the conversation before it, oldest
    first. `standalone` says whether a reader who sees neither can tell what is asked.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    set: str
    owner: str
    source: str
    question: str
    answers: list[str]
    document: str | None
    context: list[Turn] | None = None
    standalone: bool = True


class Turn(BaseModel):
    """An earlier question of the same conversation, with its answer."""

    model_config = ConfigDict(frozen=True)

    question: str
    answer: str


def split_of(identity: str) -> Literal["train", "heldout"]:
    """Where a document belongs. It depends on the id alone, so that a text never moves between training and test."""
    held_out = int(hashlib.sha256(identity.encode()).hexdigest()[:8], 16) % HELD_OUT_ONE_IN == 0
    return "heldout" if held_out else "train"


def key_of(text: str) -> str:
    """A key for a passage that its origin gives none: equal passages, but for white space, get the same."""
    return hashlib.sha256(" ".join(text.split()).encode()).hexdigest()[:12]


def distinct(answers: Iterable[str]) -> list[str]:
    """The answers in their order, without blanks and without those that differ in case or outer punctuation alone."""
    kept: dict[str, str] = {}
    for answer in map(str.strip, answers):
        if answer:
            kept.setdefault(answer.strip(_OUTER).casefold() or answer, answer)
    return list(kept.values())


def opening(text: str) -> str:
    """The first words of a text, for a title where its origin gives none."""
    return textwrap.shorten(text, width=70, placeholder=" ...")
