"""A question of a public set, read from a row in any of the formats that such sets are published in."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from pydantic import BaseModel

from services.evaluation.metrics.maths import last_box

Row = Mapping[str, Any]

_SURROGATE = re.compile("[\ud800-\udfff]")

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class BadSet(ValueError):
    """A file is not in a format that is known; the message names the place in it and what is wrong."""


class Problem(BaseModel):
    """A question. `answers` are all gold; with `choices` the gold one is `choices[gold]`.

    `subject` is the set's own grouping, such as MMLU's subjects; empty where it has none. `worked`: the answer is the
    end of a worked solution, and is compared as mathematics. `document` is the pulled one that it is about, if known.
    """

    id: str
    question: str
    answers: list[str]
    choices: list[str] = []
    gold: int | None = None
    subject: str = ""
    worked: bool = False
    document: str | None = None

    def lettered(self) -> str:
        """The question with its choices under letters."""
        listed = "\n".join(f"{letter}. {choice}" for letter, choice in zip(LETTERS, self.choices, strict=False))
        return f"{self.question}\n{listed}" if self.choices else self.question


def problem(row: Row, identity: str) -> Problem:
    """The question in a row. Raises BadSet if the row is in no known format, or breaks its own."""
    for fits, read in _FORMATS:
        if all(key in row for key in fits):
            try:
                found = read(row)
            except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
                raise BadSet(f"the fields {', '.join(fits)} are there, but not as expected: {_told(error)}") from error
            return _whole(found.model_copy(update={"id": str(row.get("unique_id") or row.get("id") or identity)}))
    known = "; ".join(" + ".join(fits) for fits, _ in _FORMATS)
    raise BadSet(f"no known format: the row has {', '.join(map(str, row))}. Known: {known}.")


def _told(error: Exception) -> str:
    """A KeyError's own words are the key alone."""
    return f"there is no {error}" if isinstance(error, KeyError) else str(error)


def is_known(fields: Collection[str]) -> bool:
    """Whether a row of these fields is of a known format."""
    return any({*fits} <= {*fields} for fits, _ in _FORMATS)


def is_letter(answer: str) -> bool:
    """Whether an answer names a choice."""
    try:
        return _letter(answer) >= 0
    except ValueError:
        return False


def _whole(found: Problem) -> Problem:
    if not found.question.strip():
        raise BadSet("the question is empty")
    if not any(answer.strip() for answer in found.answers):
        raise BadSet("there is no answer")
    texts = [found.id, found.question, found.subject, *found.answers, *found.choices]
    if any((not text.isascii() and _SURROGATE.search(text)) or "\0" in text for text in texts):
        raise BadSet("it has half a surrogate pair, or NUL, which are no characters")
    return found


def _multiple(question: Any, choices: Any, gold: int, subject: Any = "") -> Problem:
    texts = [_text(choice) for choice in choices]
    if not 2 <= len(texts) <= len(LETTERS):
        raise ValueError(f"{len(texts)} choices")
    if not 0 <= gold < len(texts):
        raise ValueError(f"the answer is choice {gold + 1} of {len(texts)}")
    return Problem(
        id="", question=_text(question), answers=[texts[gold]], choices=texts, gold=gold, subject=str(subject or "")
    )


def _letter(answer: Any) -> int:
    """A, B, C or 1, 2, 3 as a place."""
    text = answer.strip().upper() if isinstance(answer, str) else ""
    if text.isdecimal():
        return int(text) - 1
    if len(text) != 1 or text not in LETTERS:
        raise ValueError(f"{answer!r} is no letter of a choice")
    return LETTERS.index(text)


def _text(value: Any) -> str:
    """A text, or a number as one."""
    if isinstance(value, str) or (isinstance(value, int | float) and not isinstance(value, bool)):
        return str(value)
    raise ValueError(f"{value!r} is no text")


def _arc(row: Row) -> Problem:
    labels, texts = row["choices"]["label"], row["choices"]["text"]
    question = row["question"] if "question" in row else row["question_stem"]
    return _multiple(question, texts, list(labels).index(row["answerKey"]), row.get("type_tag"))


def _mmlu_pro(row: Row) -> Problem:
    return _multiple(row["question"], row["options"], int(row["answer_index"]), row.get("category"))


def _agieval(row: Row) -> Problem:
    question = f"{row['passage']}\n{row['question']}" if row.get("passage") else row["question"]
    choices = [_AGI_MARK.sub("", _text(option)) for option in row["options"]]
    return _multiple(question, choices, _letter(row["label"]))


def _mmlu_csv(row: Row) -> Problem:
    choices = [row[letter] for letter in LETTERS if letter in row]
    return _multiple(row["question"], choices, _letter(row["answer"]), row.get("subject"))


def _mmlu(row: Row) -> Problem:
    gold = row["answer"]
    return _multiple(row["question"], row["choices"], gold if type(gold) is int else _letter(gold), row.get("subject"))


def _sciq(row: Row) -> Problem:
    """The right answer stands among the others in alphabetical order, so that its place says nothing."""
    right = _text(row["correct_answer"])
    choices = sorted([right, *(_text(row[f"distractor{number}"]) for number in (1, 2, 3))], key=str.lower)
    return _multiple(row["question"], choices, choices.index(right))


def _math(row: Row) -> Problem:
    """MATH: the answer is what its solution boxes last, which `answer` repeats where there is one."""
    boxed = last_box(str(row["solution"])) if row.get("solution") else None
    answer = _text(row["answer"]) if boxed is None else boxed
    return Problem(
        id="", question=_text(row["problem"]), answers=[answer], subject=str(row.get("subject") or ""), worked=True
    )


def _short(row: Row) -> Problem:
    """GSM8K's answer stands after ####; NQ-open has a list of answers."""
    answer = row["answer"]
    answers = (
        [_text(one) for one in answer] if isinstance(answer, list) else [_text(answer).rsplit("####", 1)[-1].strip()]
    )
    worked = isinstance(answer, str) and "####" in answer
    subject = str(row.get("subject") or "")
    return Problem(id="", question=_text(row["question"]), answers=answers, subject=subject, worked=worked)


def _answers(row: Row) -> Problem:
    """SQuAD keeps the texts beside where they begin."""
    answers = row["answers"]["text"] if isinstance(row["answers"], dict) else row["answers"]
    return Problem(id="", question=_text(row["question"]), answers=[_text(one) for one in answers])


_AGI_MARK = re.compile(r"^\(?[A-Z]\)\s*")

_FORMATS: list[tuple[tuple[str, ...], Callable[[Row], Problem]]] = [
    (("question", "options", "answer_index"), _mmlu_pro),
    (("question", "options", "label"), _agieval),
    (("question", "choices", "answerKey"), _arc),
    (("question_stem", "choices", "answerKey"), _arc),
    (("question", "A", "B", "answer"), _mmlu_csv),
    (("question", "choices", "answer"), _mmlu),
    (("question", "correct_answer", "distractor1", "distractor2", "distractor3"), _sciq),
    (("problem", "answer"), _math),
    (("question", "answers"), _answers),
    (("question", "answer"), _short),
]
"""By the fields that tell a format, the more telling first: MMLU-Pro, AGIEval, ARC, OpenBookQA, MMLU's CSV and rows,
SciQ, MATH, SQuAD-like answers, and GSM8K or NQ-open."""
