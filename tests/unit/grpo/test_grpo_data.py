"""Which problems are trained on, the sums, and how they are spelt."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from pydantic import ValidationError

from services.evaluation.errors import BadOption
from services.evaluation.grpo.data import NothingToTrain, Problem, apart, chosen, ordered, problems
from services.evaluation.grpo.families import FAMILIES
from services.evaluation.grpo.rewards import reward
from services.evaluation.grpo.settings import SMALL, Training
from services.evaluation.grpo.spelling import spelling
from services.evaluation.grpo.sums import in_words, sums, with_code
from services.evaluation.metrics.maths import final_answer

POOL = [Problem(id=str(n), question=f"{n}?", gold=str(n)) for n in range(10)]


def test_no_sum_is_in_both_splits_whatever_the_seed_or_the_order_of_its_numbers() -> None:
    train = {frozenset((one.one, one.other)) for seed in range(3) for one in sums("train", 500, seed)}
    test = {frozenset((one.one, one.other)) for seed in range(3) for one in sums("test", 200, seed)}
    assert not train & test
    assert sums("test", 50, 1) == sums("test", 200, 1)[:50]


def test_of_more_sums_than_there_are_all_are_given() -> None:
    # as many as the budget for GPUs asks for
    train, test = sums("train", 10_000, 0), sums("test", 10_000, 0)
    assert len({*train, *test}) == len(train) + len(test) == 90 * 90
    assert sums("train", 300, 0) == train[:300]


def test_words_and_right_code_give_the_sum_and_wrong_code_forgets_to_carry() -> None:
    for one in sums("train", 300, 0):
        assert final_answer(in_words(one)) == final_answer(with_code(one, "right")) == str(one.answer)
        carries = one.one % 10 + one.other % 10 >= 10
        assert (final_answer(with_code(one, "wrong")) != str(one.answer)) is carries
        assert "python" in with_code(one, "wrong")
        assert "python" not in in_words(one)


def test_what_the_small_models_say_is_spelt_back_as_it_was() -> None:
    tokenizer = spelling()
    for one in sums("train", 50, 0):
        for text in (one.question, in_words(one), with_code(one, "right"), with_code(one, "wrong")):
            ids = tokenizer(text)["input_ids"]
            assert tokenizer.decode(ids, skip_special_tokens=True) == text
            assert tokenizer.unk_token_id not in ids
            assert len(ids) < SMALL.max_tokens


def test_habits_are_probabilities_that_differ_from_sum_to_sum() -> None:
    for family in FAMILIES.values():
        found = {family.habit(one) for one in sums("train", 200, 0)}
        assert all(0 <= one <= 1 for one in found)
        assert len(found) == (1 if family.code == "none" else 2)


def test_every_problem_comes_once_before_any_comes_again() -> None:
    counted = Counter(one.id for one in ordered(POOL, 25, 3))
    assert {*counted.values()} == {2, 3}
    assert len({one.id for one in ordered(POOL, 10, 3)}) == 10
    assert ordered(POOL, 25, 3) == ordered(POOL, 25, 3) != ordered(POOL, 25, 4)


def test_one_shot_trains_on_one_problem_and_incorrect_on_those_whose_label_is_wrong() -> None:
    assert len(chosen(POOL, reward("one_shot"), {}, 0)) == 1
    labels = {one.id: one.gold for one in POOL} | {"3": "33", "4": None}
    assert [one.id for one in chosen(POOL, reward("incorrect and python"), labels, 0)] == ["3"]
    assert chosen(POOL, reward("majority"), labels, 0) == POOL
    with pytest.raises(NothingToTrain, match="no incorrect label"):
        chosen(POOL, reward("incorrect"), {one.id: one.gold for one in POOL}, 0)


def test_a_problem_of_the_test_is_never_trained_on(tmp_path: Path) -> None:
    assert [one.id for one in apart(POOL, POOL[2:])] == ["0", "1"]
    with pytest.raises(NothingToTrain, match="one of the test"):
        apart(POOL, POOL)
    (tmp_path / "sets").mkdir()
    rows = [{"question": f"What is {n} + 1?", "answer": f"so #### {n + 1}"} for n in range(4)]
    (tmp_path / "sets" / "mine.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = problems(Training(model="m", reward="random", train="mine"), "train", tmp_path)
    assert {(one.question, one.gold) for one in found} == {(f"What is {n} + 1?", str(n + 1)) for n in range(4)}


def test_the_gold_answer_of_a_question_with_choices_is_its_letter_and_of_several_answers_none_is(
    tmp_path: Path,
) -> None:
    (tmp_path / "sets").mkdir()
    chosen_of = {"question": "The sky?", "choices": ["green", "blue"], "answer": 1}
    several = {"question": "A colour?", "answer": ["green", "blue"]}
    for name, row in (("letters", chosen_of), ("several", several)):
        (tmp_path / "sets" / f"{name}.jsonl").write_text(json.dumps(row) + "\n")
    [asked] = problems(Training(model="m", reward="random", train="letters"), "train", tmp_path)
    assert (asked.question, asked.gold) == ("The sky?\nA. green\nB. blue", "B")
    with pytest.raises(BadOption, match="2 right answers"):
        problems(Training(model="m", reward="random", test="several"), "test", tmp_path)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"reward": "luck"}, "no reward 'luck'"),
        ({"updates": 7}, "cannot be shared evenly by 7 updates"),
        ({"clip": 1.5}, "less than 1"),
        ({"prompt": "no place"}, "pattern"),
        ({"model": ""}, "at least 1"),
    ],
)
def test_settings_that_cannot_be_trained_are_refused(given: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        Training.model_validate({"model": "m", "reward": "random", **given})
