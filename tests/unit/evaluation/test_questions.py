"""Which gold questions are asked, and in what order."""

import json
from pathlib import Path
from typing import Any

import pytest

from services.evaluation.errors import MissingData
from services.evaluation.suites.drawing import digest, item_seed
from services.evaluation.suites.questions import choose

TEXTS = {
    "tales:1": "At noon the miller gave the goat to Anna.",
    "tales:2": "The lighthouse was built in 1821, and yes, it still stands.",
}

QUESTIONS: list[dict[str, Any]] = [
    {"id": "q1", "question": "Who got the miller's goat?", "answers": ["to Anna", "Anna."], "document": "tales:1"},
    {"id": "q2", "question": "When was the lighthouse built?", "answers": ["1821", "."], "document": "tales:2"},
    {"id": "not-in-text", "question": "Who built it?", "answers": ["the crown"], "document": "tales:2"},
    {"id": "yes-no", "question": "Does the lighthouse stand?", "answers": ["yes"], "document": "tales:2"},
    {"id": "points-back", "question": "When?", "answers": ["noon"], "document": "tales:1", "standalone": False},
    {"id": "no-document", "question": "Who is Anna?", "answers": ["Anna"], "document": None},
    {"id": "no-answer", "question": "What is a goat?", "answers": [".", "the"], "document": "tales:1"},
]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    common = {"set": "tales", "owner": "literature", "source": "tales"}
    _write(tmp_path / "questions" / "tales.jsonl", [{**common, **question} for question in QUESTIONS])
    texts = [{"id": identity, "text": text} for identity, text in TEXTS.items()]
    _write(tmp_path / "texts" / "literature" / "tales.jsonl", texts)
    return tmp_path


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_extractive_questions_can_be_answered_from_their_passage_alone(home: Path) -> None:
    assert {question.id for question in choose(home, "tales", "extractive", 100, seed=0)} == {"q1", "q2"}


def test_a_gold_answer_without_words_is_none(home: Path) -> None:
    [lighthouse] = [one for one in choose(home, "tales", "extractive", 100, seed=0) if one.id == "q2"]
    assert lighthouse.answers == ["1821"]


def test_standalone_questions_say_what_they_are_about(home: Path) -> None:
    chosen = {question.id for question in choose(home, "tales", "standalone", 100, seed=0)}
    assert chosen == {"q1", "q2", "not-in-text", "yes-no", "no-document"}


def test_every_question_with_an_answer_can_be_asked(home: Path) -> None:
    assert len(choose(home, "tales", "all", 100, seed=0)) == 6


def test_a_smaller_limit_takes_the_first_of_a_larger_ones_questions(home: Path) -> None:
    everything = choose(home, "tales", "all", 100, seed=5)
    assert choose(home, "tales", "all", 3, seed=5) == everything[:3]
    assert choose(home, "tales", "all", 100, seed=6) != everything


def test_the_digest_changes_with_any_question(home: Path) -> None:
    questions = choose(home, "tales", "all", 100, seed=0)
    reworded = [questions[0].model_copy(update={"question": "Who?"}), *questions[1:]]
    assert digest(questions) == digest(list(questions))
    assert len({digest(questions), digest(reworded), digest(questions[1:])}) == 3


def test_an_items_seed_depends_on_the_run_and_the_question_and_fits_31_bits() -> None:
    seeds = {item_seed(run, f"q{question}") for run in range(10) for question in range(100)}
    assert len(seeds) == 1000
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_a_set_that_was_never_pulled_is_missing_data(home: Path) -> None:
    with pytest.raises(MissingData, match="candor data pull"):
        choose(home, "sagas", "all", 1, seed=0)


def test_questions_without_the_texts_they_are_about_are_missing_data(home: Path) -> None:
    (home / "texts" / "literature" / "tales.jsonl").unlink()
    with pytest.raises(MissingData, match=r"tales\.jsonl"):
        choose(home, "tales", "extractive", 1, seed=0)
