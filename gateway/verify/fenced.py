"""What a sample has in a fenced block, of Markdown."""

from __future__ import annotations

import re
from collections.abc import Collection

# possessive: what a model wrote is matched without going back
_OPENING = re.compile(r"(?P<indent> *+)[^`]*+(?P<fence>`{3,}+) *+(?P<language>[^\s`]*+)[^`]*+")


def last_block(text: str, languages: Collection[str]) -> str | None:
    """The last block in one of the languages, else the last that names none; None without either.

    A block of another language is passed over whole, and one that was cut off runs to the end of the text.
    """
    named, unnamed = None, None
    fence, language, indent = "", "", ""
    lines: list[str] = []
    # the end closes what is open
    for line in [*text.split("\n"), None]:
        if not fence:
            if line is not None and (opening := _OPENING.fullmatch(line.rstrip())):
                fence, language, indent = opening["fence"], opening["language"].lower(), opening["indent"]
                lines = []
        elif line is None or (set(line.strip()) == {"`"} and len(line.strip()) >= len(fence)):
            if language in languages:
                named = "\n".join(lines)
            elif not language:
                unnamed = "\n".join(lines)
            fence = ""
        else:
            lines.append(line.removeprefix(indent))
    return unnamed if named is None else named
