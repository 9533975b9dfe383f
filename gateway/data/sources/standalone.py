"""Whether a question can be asked of somebody who does not see the text it was asked about."""

from __future__ import annotations

import re

_POINTS_BACK = re.compile(
    r"\b(he|him|his|she|her|hers|it|its|they|them|their|theirs|we|our|you|this|that|these|those|there|then|here"
    r"|one|ones|else|other|another|same|both|also|so|too|more|first|second|last|next"
    r"|story|article|passage|text|chapter|topic|title|author|narrator|speaker|character|mentioned)\b",
    re.IGNORECASE,
)
# Inside a sentence a capital, or a year: at its beginning every word has a capital.
_A_NAME = re.compile(r"(?<=[a-z,] )[A-Z][A-Za-z]{2,}|\b\d{4}\b")
_SHORTEST_WORDS = 5


def names_its_subject(question: str) -> bool:
    """True if the question names something and points at nothing said before. It errs towards False."""
    long_enough = len(question.split()) >= _SHORTEST_WORDS
    return long_enough and bool(_A_NAME.search(question)) and not _POINTS_BACK.search(question)
