"""What is asked: texts of about 500 tokens, half of them stitched from the corpus, and short runs of its tokens."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from bench.tracing.corpus import Part

TOKENS = 500
STRETCH = (5, 60)
"""Words of a stretch, at least and at most."""
LENGTHS = (1, 2, 3, 5, 8, 13, 20, 30)
"""Tokens of what is counted and found."""

_COMMON = frozenset(["the", "of", "and", "to", "in", "is", "a", "that", "for", "be"])

Cut = Callable[[str], str]
"""From a text its first TOKENS tokens, or a few less."""


class Response(NamedTuple):
    """A text to trace, and the question it answers. `stitched`: it takes turns between the corpus and other text."""

    text: str
    prompt: str
    stitched: bool


def responses(part: Part, held_out: Sequence[str], prompts: Sequence[str], count: int, cut: Cut) -> list[Response]:
    """Every other one stitched from a part and what was held out, the rest from what was held out alone; of both the
    prose."""
    draw = random.Random(0)
    corpus, other = ([text for text in texts if is_prose(text)] for texts in (_texts(part), held_out))
    made = []
    for number in range(count):
        stitched = number % 2 == 0
        words = 0
        stretches: list[str] = []
        while words < 2 * TOKENS:  # a word has at least a token, mostly; what is too much is cut off
            source = corpus if stitched and len(stretches) % 2 == 0 else other
            stretches.append(_stretch(draw, source, draw.randint(*STRETCH) if stitched else TOKENS))
            words += len(stretches[-1].split())
        made.append(Response(cut(" ".join(stretches)), draw.choice(prompts), stitched))
    return made


def ngrams(part: Part, count: int) -> dict[int, list[list[int]]]:
    """By length, so many runs of the tokens of documents of a part; every fourth has one token exchanged."""
    draw = random.Random(1)
    documents = [ids for ids in part.documents() if ids.size > 2 * max(LENGTHS)]
    found: dict[int, list[list[int]]] = {}
    for length in LENGTHS:
        found[length] = []
        for number in range(count):
            ids = draw.choice(documents)
            at = draw.randrange(ids.size - length)
            run = ids[at : at + length].tolist()
            if number % 4 == 3:
                run[draw.randrange(length)] = int(draw.choice(documents)[0])
            found[length].append(run)
    return found


def is_prose(text: str) -> bool:
    """Whether it reads as an answer might: English by its commonest words, in lines that are not those of a menu."""
    lines = [line for line in text.split("\n") if line.strip()]
    words = text.split()
    return len(text) > 45 * len(lines) and sum(word in _COMMON for word in words) > 0.18 * len(words)


def _texts(part: Part) -> list[str]:
    with part.texts.open(encoding="utf-8") as file:
        return [json.loads(line)["text"] for line in file]


def _stretch(draw: random.Random, texts: Sequence[str], words: int) -> str:
    """So many words in a row of one of the texts, with the white space between them, or all of a short one."""
    text = draw.choice(texts)
    begins = [match.start() for match in re.finditer(r"\S+", text)]
    first = draw.randrange(max(1, len(begins) - words))
    last = first + words
    return text[begins[first] : begins[last] if last < len(begins) else len(text)].strip()
