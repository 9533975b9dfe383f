"""SQuAD: paragraphs of Wikipedia, and questions whose answers stand in them."""

from __future__ import annotations

import re
from typing import Any

from gateway.data.records import distinct
from gateway.data.sources.base import Benchmarks, Passages, Reading, TextSource

SOURCE = TextSource(
    name="squad",
    owner="encyclopedia",
    licence="CC-BY-SA-4.0",
    origin="SQuAD 1.1 (Rajpurkar et al. 2016), 1,000 questions of its validation set, from Wikipedia",
    url="https://rajpurkar.github.io/SQuAD-explorer/",
)

_PARTS = re.compile(r"Title: (?P<title>.*?)\nBackground: (?P<passage>.*)\nQuestion: .*?\nAnswer:\s*", re.DOTALL)
_ASKED = re.compile(r".*\nQuestion: (?P<question>.*?)\nAnswer:\s*", re.DOTALL)


def read(benchmarks: Benchmarks) -> Reading:
    """A document for each paragraph, and the questions about it."""
    passages, questions = Passages(SOURCE), []
    for item in benchmarks.items("squad/bpb_5shot"):
        title, passage, asked = _parts(item)
        document = passages.add(passage, title=title)
        questions.append(SOURCE.question(item["id"], asked, distinct(item["answers_text"]), document.id))
    return Reading(passages.documents(), questions)


def _parts(item: dict[str, Any]) -> tuple[str, str, str]:
    """Title, passage and question: the wheel has them in one prompt only."""
    parts, asked = _PARTS.fullmatch(item["query"]), _ASKED.fullmatch(item["query"])
    if not parts or not asked:
        raise ValueError(f"SQuAD item {item['id']} is not in the form of a titled passage with a question.")
    return parts["title"].replace("_", " "), parts["passage"], asked["question"]
