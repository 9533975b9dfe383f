"""The arithmetic problems: true in every step, repeatable, and the held-out ones in no training."""

import re
from itertools import islice

import pytest

from services.model.thinking.problems import KINDS, Split, problems


def some(seed: str, split: Split, count: int = 400) -> list:  # type: ignore[type-arg]
    return list(islice(problems(seed, split), count))


@pytest.mark.parametrize("split", ["train", "heldout"])
def test_every_step_is_true_and_the_last_one_ends_with_the_answer(split: Split) -> None:
    for problem in some("a", split):
        values = [int(step.rpartition(" = ")[2]) for step in problem.steps]
        for step, value in zip(problem.steps, values, strict=True):
            assert re.fullmatch(r"\d+ [-+*/] \d+ = \d+", step)
            assert eval(step.partition(" = ")[0].replace("/", "//")) == value
            if "/" in step:
                dividend, divisor = map(int, step.partition(" = ")[0].split(" / "))
                assert dividend % divisor == 0
        assert values[-1] == problem.answer


def test_what_the_question_says_has_the_answer_whenever_it_is_a_formula() -> None:
    formulas = [
        (found.group(1), problem.answer)
        for problem in some("b", "train")
        if (found := re.fullmatch(r"(?:What is|Compute) ([-+*\d ]+)[?.]", problem.question))
    ]
    assert len(formulas) > 100
    assert all(eval(formula) == answer for formula, answer in formulas)


def test_a_story_tells_the_numbers_that_its_steps_begin_with() -> None:
    for problem in some("c", "train"):
        told = set(re.findall(r"\d+", problem.question))
        known = told | {part for number in told if len(number) == 2 for part in (number[0] + "0", number[1])}
        for step in problem.steps:
            left, value = step.split(" = ")
            assert set(re.findall(r"\d+", left)) <= known, problem
            known |= {value} | ({value[:-1] + "0", value[-1]} if len(value) > 1 else set())


def test_no_problem_is_in_both_splits_however_it_is_worded_and_all_kinds_are_in_each() -> None:
    train, heldout = some("d", "train", 3000), some("e", "heldout", 600)

    def numbers(problem) -> tuple[str, ...]:  # type: ignore[no-untyped-def]
        return (problem.kind, *sorted(re.findall(r"\d+", problem.question)), problem.steps[0])

    assert {problem.kind for problem in heldout} == set(KINDS)
    products = [{numbers(one) for one in part if one.kind == "product"} for part in (train, heldout)]
    assert not products[0] & products[1]
    assert not {one.question for one in train} & {one.question for one in heldout}


def test_a_seed_makes_the_same_problems_and_another_one_others_without_repeating_any() -> None:
    assert some("f", "train") == some("f", "train") != some("g", "train")
    assert len({(one.question, one.answer) for one in some("f", "heldout")}) == 400
