"""The gold questions of the pulled sets, chosen so that each can be answered from its passage alone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from services.evaluation.errors import MissingData
from services.evaluation.metrics.answers import contains_gold, normalise
from services.evaluation.suites.drawing import drawn
from shared.contracts.base import OwnerId

Selection = Literal["extractive", "standalone", "all"]
"""Which questions of a set are asked.

- extractive: they say what they are about without the conversation or the options around them; their document is
  known; and a gold answer stands in it, word for word after normalisation. Questions of yes or no are left out: they
  are right half of the time without any passage, and hide what a passage adds.
- standalone: they say what they are about; nothing more is asked of them.
- all: every question.
"""


class Turn(BaseModel):
    """An earlier question of a conversation, and its answer."""

    question: str
    answer: str


class GoldQuestion(BaseModel):
    """A line of questions/SET.jsonl."""

    id: str
    set: str
    owner: OwnerId
    source: str
    question: str
    answers: list[str]
    document: str | None
    context: list[Turn] | None = None
    standalone: bool = True


def choose(home: Path, name: str, selection: Selection, limit: int, seed: int) -> list[GoldQuestion]:
    """At most `limit` questions of a set, drawn by the seed: a smaller limit gives the first of a larger one's.

    Raises MissingData when the set, or the documents it is about, were never pulled.
    """
    questions = [question for question in _read(home, name) if question.answers]
    if selection != "all":
        questions = [question for question in questions if question.standalone]
    if selection == "extractive":
        documents = _documents(home, questions)
        questions = [question for question in questions if _stands_in(question, documents)]
    return drawn(questions, seed, lambda question: question.id)[:limit]


def _read(home: Path, name: str) -> Iterator[GoldQuestion]:
    try:
        with (home / "questions" / f"{name}.jsonl").open(encoding="utf-8") as lines:
            yield from (_worded(GoldQuestion.model_validate_json(line)) for line in lines)
    except FileNotFoundError as error:
        raise MissingData(f"There are no questions of {name!r} in {home / 'questions'}.") from error


def _worded(question: GoldQuestion) -> GoldQuestion:
    """Without gold answers of which normalisation leaves nothing: an empty answer would match them."""
    return question.model_copy(update={"answers": [answer for answer in question.answers if normalise(answer)]})


def _stands_in(question: GoldQuestion, documents: dict[str, str]) -> bool:
    text = documents.get(question.document or "", "")
    yes_or_no = any(normalise(answer) in ("yes", "no") for answer in question.answers)
    return not yes_or_no and contains_gold(text, question.answers) == 1.0


def _documents(home: Path, questions: Sequence[GoldQuestion]) -> dict[str, str]:
    """The texts of the documents that these questions are about, by id."""
    wanted = {question.document for question in questions if question.document}
    texts: dict[str, str] = {}
    for owner, source in sorted({(question.owner, question.source) for question in questions}):
        path = home / "texts" / owner / f"{source}.jsonl"
        try:
            with path.open(encoding="utf-8") as lines:
                documents = map(json.loads, lines)
                texts |= {document["id"]: document["text"] for document in documents if document["id"] in wanted}
        except FileNotFoundError as error:
            raise MissingData(f"There is no {path}, the text that the questions of {source!r} are about.") from error
    return texts
