"""What the model is asked for, and how its answers are read."""

from __future__ import annotations

import json
import re

VERSION = "1"
"""Goes with every pair; changed with any word below."""

_OBJECT = "Answer with one JSON object and nothing else, in this form: "

_POINTS_AT_A_TEXT = re.compile(
    r"\b(?:(?:this|the|that|above|given|following) (?:passage|document|text|article|excerpt|author)s?"
    r"|according to the|mentioned above)\b",
    re.IGNORECASE,
)


def brainstorm(passage: str) -> str:
    """First turn of `varied`: a task in which somebody needs texts of this field."""
    return (
        "Below is a sample of the texts in a library. Think of somebody at work on a task for which one would search "
        "a library of this field: another task than the sample itself is about. Say in two sentences who it is, what "
        f"the task is, and which knowledge is missing.\n\nSample:\n{passage}"
    )


def varied(query_words: int, document_words: int) -> str:
    """Second turn of `varied`: the query and a document that answers it."""
    return (
        f"Write what this person types into the search, in about {query_words} words, with the details of the task. "
        f"Then write the document that is the best thing to find: about {document_words} words of a textbook or an "
        "article that explains what is missing, complete in itself, without naming the person or the task. "
        f'{_OBJECT}{{"query": "...", "positive": "..."}}'
    )


def hard(passage: str) -> str:
    """First turn of `hard`: a query that takes reasoning to be led to a passage."""
    return (
        "Below is a passage. Invent a concrete situation in which somebody has a problem that can be solved only with "
        "what the passage explains, and write the question that this person asks. Who asks has never seen the passage: "
        "do not refer to any text, do not use its title or its rare words, and describe what is observed rather than "
        "what it is called. Between the question and the passage there should be a step of thought: a rule to apply, "
        "a cause to infer, a case of something general. The question must be understood by itself.\n"
        f'{_OBJECT}{{"query": "..."}}\n\nPassage:\n{passage}'
    )


def negative(words: int) -> str:
    """Last turn of both: a document that looks right and is of no use."""
    return (
        f"Now write another document of about {words} words, which a search by words would take for the right one: it "
        "has the same subject and repeats the words of the question. It must not help: it contains neither the answer "
        "nor anything from which the answer follows, and it does not say so. Do not write anything false. "
        f'{_OBJECT}{{"negative": "..."}}'
    )


def parse(answer: str, fields: tuple[str, ...]) -> dict[str, str] | None:
    """The fields of the first JSON object in an answer, whatever stands around it; None unless each is a text."""
    start = answer.find("{")
    if start < 0:
        return None
    try:
        # models break lines inside of strings, which strict JSON forbids
        found, _ = json.JSONDecoder(strict=False).raw_decode(answer, start)
    except ValueError:
        return None
    texts = {name: found.get(name) for name in fields}
    return {name: text.strip() for name, text in texts.items()} if all(map(_is_text, texts.values())) else None


def points_at_a_text(query: str) -> bool:
    """Whether a query refers to a passage that who searches has not seen."""
    return _POINTS_AT_A_TEXT.search(query) is not None


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())
