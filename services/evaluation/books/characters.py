"""The persons of a book by its capitals: names that stand where a name stands and do what a person does."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from services.evaluation.books.file import Character
from services.evaluation.books.prose import sentences
from services.evaluation.metrics.cloze import HONORIFICS

FEWEST_MENTIONS = 3
FEWEST_SIGNS = 2
"""Mentions in which a name speaks, is spoken of as a person, or has an honorific: London and March have none."""

_SPEECH = (
    "said|says|cried|asked|replied|answered|remarked|exclaimed|whispered|shouted|muttered|thought|added|began|"
    "continued|growled|screamed|sighed|laughed|smiled|nodded|looked|turned|told|wondered|knew|felt|stood|sat"
)
_PART = rf"(?:(?!(?:{'|'.join(HONORIFICS)})\b)(?:St\.(?= [A-Z])|(?:Mc|Mac|O['\u2019])?[A-Z][a-z]+))"
_NAME = rf"{_PART}(?:[- ]{_PART}){{0,2}}"
_TITLE = r"(?:(?:" + "|".join(HONORIFICS) + r")\.? )"
_RUN = re.compile(rf"(?P<title>{_TITLE})?(?P<name>{_NAME})(?![A-Za-z])")
_SPEAKS_AFTER = re.compile(rf"(?:{_SPEECH})\s+(?:the |our |to )?$")
_SPEAKS_BEFORE = re.compile(rf"^,?\s+(?:had |was |only |then |just |once )?(?:{_SPEECH}|who|whose|herself|himself)\b")
_STARTS = re.compile(r"[\"'\u201c\u2018(\[-]$|--$|[:;.!?]\s*[\"'\u201c\u2018]?$")


def characters(paragraphs: Sequence[str], most: int) -> list[Character]:
    """At most `most` persons, those most often named first, each by all names that are no other person's.

    A name is a run of up to three capitalised words inside a sentence. It is a person's if it has an honorific or
    does what persons do (such as to say something) twice or more. Of a longer name its words are aliases where only
    one long name has them and the book does not write them small. Nobody who is only ever "I" or "the stranger" is
    found, and a talking animal is: this counts capitals and understands nothing.
    """
    mentions, signs, small = Counter[str](), Counter[str](), Counter[str]()
    inside = set[str]()
    for sentence in (one for paragraph in paragraphs for one in sentences(paragraph)):
        small.update(re.findall(r"\b[a-z]+\b", sentence))
        for name, sign, first in _names(sentence):
            mentions[name] += 1
            signs[name] += sign
            if not first:
                inside.add(name)
    proper = [name for name in mentions if name in inside and not _is_small(name, mentions, small)]
    persons = [name for name in proper if mentions[name] >= FEWEST_MENTIONS and signs[name] >= FEWEST_SIGNS]
    found = _joined(persons, proper, mentions)
    found.sort(key=lambda names: (-sum(mentions[name] for name in names), names[0]))
    return [Character(aliases=names) for names in found[:most]]


def _names(sentence: str) -> Iterator[tuple[str, bool, bool]]:
    """Each name of a sentence, whether it is a person's here, and whether it may be great by its place only."""
    for run in _RUN.finditer(sentence):
        before, after = sentence[: run.start()], sentence[run.end() :]
        titled = run["title"] is not None
        parts = run["name"].split(" ")
        if parts[0] in HONORIFICS:
            parts, titled = parts[1:], True
        first = not titled and (not before.strip() or bool(_STARTS.search(before)))
        if first:
            # the first word of a sentence is great whatever it is; what follows it is a name's
            first = len(parts) == 1 and bool(_SPEAKS_BEFORE.match(after))
            parts = parts if first else parts[1:]
        if parts:
            speaks = bool(_SPEAKS_AFTER.search(before) or _SPEAKS_BEFORE.match(after))
            yield " ".join(parts), titled or speaks, first


def _is_small(name: str, mentions: Counter[str], small: Counter[str]) -> bool:
    """Whether the book writes a name of one word small as often as not: She, Then, Well."""
    return " " not in name and small[name.lower()] > mentions[name] / 2


def _joined(persons: Iterable[str], proper: Sequence[str], mentions: Counter[str]) -> list[list[str]]:
    """The names of each person, the commonest first."""
    chosen = list(persons)
    longer = [name for name in chosen if " " in name]
    owners: dict[str, list[str]] = {}
    for name in longer:
        for part in name.split(" "):
            owners.setdefault(part, []).append(name)
    aliases: dict[str, list[str]] = {name: [name] for name in longer}
    for name in chosen:
        if " " in name:
            continue
        if len(owners.get(name, [])) == 1:
            aliases[owners[name][0]].append(name)
        elif name not in owners:
            aliases[name] = [name]
    known = {*chosen}
    for part, names in owners.items():
        # a first name that only its family speaks: named often enough and only this person's
        if len(names) == 1 and part not in known and part in proper and mentions[part] >= FEWEST_MENTIONS:
            aliases[names[0]].append(part)
    return [sorted(names, key=lambda name: -mentions[name]) for names in aliases.values()]
