"""BoolQ: paragraphs of Wikipedia, and yes/no questions that people typed into a search box."""

from __future__ import annotations

import re
from typing import Any

from gateway.data.sources.base import Benchmarks, Passages, Reading, TextSource

SOURCE = TextSource(
    name="boolq",
    owner="encyclopedia",
    licence="CC-BY-SA-3.0",
    origin="BoolQ (Clark et al. 2019), validation set, from Wikipedia",
    url="https://github.com/google-research-datasets/boolean-questions",
)

_PARTS = re.compile(r"(?P<title>.*?) -- (?P<passage>.*)\nQuestion: (?P<question>.*)\nAnswer:\s*", re.DOTALL)


def read(benchmarks: Benchmarks) -> Reading:
    """A document for each paragraph, and its questions with the answer "yes" or "no"."""
    passages, questions = Passages(SOURCE), []
    for item in benchmarks.items("boolq/rc_0shot"):
        parts = _parts(item)
        document = passages.add(parts["passage"], title=parts["title"])
        answer = item["choices"][item["gold"]]
        questions.append(SOURCE.question(str(item["idx"]), parts["question"], [answer], document.id))
    return Reading(passages.documents(), questions)


def _parts(item: dict[str, Any]) -> re.Match[str]:
    """Title, passage and question: the wheel has them in one prompt only."""
    parts = _PARTS.fullmatch(item["query"])
    if not parts:
        raise ValueError(f"BoolQ item {item['idx']} is not in the form of a titled passage with a question.")
    return parts
