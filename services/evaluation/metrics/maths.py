r"""The final answer of a worked solution, and whether two such answers are equal: numbers by value, the rest as text.

No computer algebra: `\frac{1}{2}` equals 0.5, and x + y does not equal y + x. The gateway's math verifier knows more.
"""

from __future__ import annotations

import re
from fractions import Fraction

_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_CUE = re.compile(r"(?:####|\banswer\s*(?:is|:|=)+)\s*:?", re.IGNORECASE)
_NUMBER = re.compile(r"(?:(?<![\w)])-\s?)?\$?(?:(?:\d+(?:,\d{3})+|\d+)(?:\.\d+)?(?:\s*/\s*\d+)?|(?<![\w.])\.\d+)")
_FRACTION = re.compile(r"(?<!\d)(?<!\d\s)\\[dt]?frac\{(-?\d+)\}\{(\d+)\}")
_DRESS = re.compile(r"\\(?:text|mathrm|mbox)\{[^{}]*\}|\\[!,; ]|\\left|\\right|\\%|\^\\circ|[$%\s]")


def final_answer(text: str) -> str:
    """The last box; else the number after the last cue, or what stands there; else the last number; else ''."""
    if (boxed := last_box(text)) is not None:
        return boxed.strip()
    cues = list(_CUE.finditer(text))
    if cues:
        said = text[cues[-1].end() :].strip().split("\n")[0]
        # a worked sum after the cue: what it comes to is at its end
        found = _numbers(said.rsplit("=", 1)[-1]) or _numbers(said)
        return found[0] if found else said.strip(" .*")
    found = _numbers(text)
    return found[-1] if found else ""


def same(answer: str, gold: str) -> bool:
    """Whether an answer is the gold one. An empty answer never is."""
    if not answer.strip():
        return False
    one, other = value(answer), value(gold)
    if one is not None and other is not None:
        return one == other
    return _plain(answer) == _plain(gold)


def value(text: str) -> Fraction | None:
    """The number that a text says and nothing else: 1,000, 0.5, 1/2, $5 or 50%; None for any other."""
    plain = _THOUSANDS.sub("", _plain(text))
    try:
        return Fraction(plain.rstrip(".")) if re.fullmatch(r"-?[\d./]+", plain) else None
    except (ValueError, ZeroDivisionError):
        return None


def last_box(text: str) -> str | None:
    r"""What the last \boxed{...} that closes holds, braces matched; None if none does."""
    begin, end = text.rfind("\\boxed{"), len(text)
    while begin >= 0:
        start, depth = begin + len("\\boxed{"), 1
        for at in range(start, end):
            depth += {"{": 1, "}": -1}.get(text[at], 0)
            if depth == 0:
                return text[start:at]
        # cut off in the middle of it: the one before may be whole
        begin, end = text.rfind("\\boxed{", 0, begin), begin
    return None


def _numbers(text: str) -> list[str]:
    return [found.strip() for found in _NUMBER.findall(text)]


def _plain(text: str) -> str:
    """Without spaces, dollars, units in \\text and degrees; fractions as a/b; lower case."""
    return _DRESS.sub("", _FRACTION.sub(r"\1/\2", text)).rstrip(".").lower()
