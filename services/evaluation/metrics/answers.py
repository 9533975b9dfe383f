"""Short answers against gold ones, after SQuAD (Rajpurkar et al. 2016): exact match, token F1, contains-gold."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")


def normalise(text: str) -> str:
    """Lower case, without ASCII punctuation and English articles, single spaces: SQuAD's rules, in SQuAD's order."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(answer: str, gold: Sequence[str]) -> float:
    """1.0 if the normalised answer equals a normalised gold answer, else 0.0."""
    return float(normalise(answer) in {normalise(one) for one in gold})


def token_f1(answer: str, gold: Sequence[str]) -> float:
    """The best F1 over the gold answers, of the multisets of normalised tokens. Two empty texts agree: 1.0."""
    return max((_f1(normalise(answer).split(), normalise(one).split()) for one in gold), default=0.0)


def contains_gold(answer: str, gold: Sequence[str]) -> float:
    """1.0 if a gold answer's normalised tokens stand in a row among the answer's, else 0.0.

    Whole tokens, so that "art" is not found in "heart". A gold answer that normalises to nothing is never found.
    """
    padded = f" {normalise(answer)} "
    return float(any(f" {wanted} " in padded for wanted in map(normalise, gold) if wanted))


def _f1(answer: list[str], gold: list[str]) -> float:
    if not answer or not gold:
        return float(answer == gold)
    shared = (Counter(answer) & Counter(gold)).total()
    return 2 * shared / (len(answer) + len(gold))
