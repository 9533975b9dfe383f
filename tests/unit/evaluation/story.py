"""A book made for the tests: English prose in paragraphs, whose persons and events are known."""

from __future__ import annotations

import random

PLACES = ["harbour", "mill", "forest", "bridge", "tower", "market", "church", "garden", "river", "cellar"]
THINGS = ["lantern", "letter", "compass", "kettle", "violin", "mirror", "ladder", "candle", "barrel", "anchor"]

HEADER = """Project Gutenberg's The Lantern, by Nobody

Title: The Lantern

Language: English

*** START OF THIS PROJECT GUTENBERG EBOOK THE LANTERN ***

Produced by nobody at all, on one computer of theirs.

THE LANTERN

CHAPTER I. Down by the water
"""

LICENCE = """
*** END OF THIS PROJECT GUTENBERG EBOOK THE LANTERN ***

*** START: FULL LICENSE ***

Section 1. You may copy it, give it away or re-use it under the terms of the licence of the work, which is this.
"""


def story(paragraphs: int = 60, seed: int = 0) -> list[str]:
    """Paragraphs of some 60 words. Mr. Tobias Fenwick and Clara act in them; London is only a place."""
    draw = random.Random(seed)
    return [_paragraph(draw, number) for number in range(paragraphs)]


def file(paragraphs: list[str]) -> str:
    """The paragraphs as a file of Project Gutenberg: lines broken, a header before and a licence behind."""
    return HEADER + "".join("\n" + _broken(one) + "\n" for one in paragraphs) + LICENCE


def _paragraph(draw: random.Random, number: int) -> str:
    place, other, thing = draw.choice(PLACES), draw.choice(PLACES), draw.choice(THINGS)
    return (
        f"On the {number + 2}th day of that winter the two of them walked from the {place} to the {other} in London. "
        f"Then Mr. Fenwick carried the {thing} of the {place} under his arm, and Clara followed him with the rope. "
        f'"It was in the {other} all the time," said Clara, and she laughed at him. '
        f"It was Tobias Fenwick who looked at the {thing} for a long time before he would answer her at all."
    )


def _broken(paragraph: str) -> str:
    words, lines = paragraph.split(" "), [""]
    for word in words:
        if len(lines[-1]) + len(word) > 70:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)
