"""Accuracy, code and switches against a count by hand over single problems."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.evaluation.grpo.measures import SWITCHES, Sheet, switches

answers = st.lists(st.tuples(*[st.booleans()] * 4), min_size=1, max_size=30)


def sheet(step: int, right: list[bool], code: list[bool]) -> Sheet:
    flags = ["".join("01"[one] for one in column) for column in (right, code)]
    return Sheet(step=step, right=flags[0], code=flags[1], cut="0" * len(right))


@given(answers)
def test_the_contributions_of_the_switches_sum_to_the_gain_and_each_is_counted_directly(
    rows: list[tuple[bool, bool, bool, bool]],
) -> None:
    before = sheet(0, [row[0] for row in rows], [row[1] for row in rows])
    after = sheet(8, [row[2] for row in rows], [row[3] for row in rows])
    found = switches(before, after)
    assert sum(one.contribution for one in found.values()) == pytest.approx(after.accuracy - before.accuracy)
    assert sum(one.share for one in found.values()) == pytest.approx(1)
    way = {True: "code", False: "words"}
    for pair in SWITCHES:
        of = [row for row in rows if (way[row[1]], way[row[3]]) == pair]
        assert found[pair].share == pytest.approx(len(of) / len(rows))
        direct = Fraction(sum(int(row[2]) - int(row[0]) for row in of), len(rows))
        assert found[pair].contribution == pytest.approx(float(direct))


@given(answers)
def test_accuracy_is_the_mixture_of_the_accuracies_with_and_without_code(
    rows: list[tuple[bool, bool, bool, bool]],
) -> None:
    one = sheet(0, [row[0] for row in rows], [row[1] for row in rows])
    mixed = one.code_frequency * (one.accuracy_of("code") or 0) + (1 - one.code_frequency) * (
        one.accuracy_of("words") or 0
    )
    assert mixed == pytest.approx(one.accuracy)
    assert (one.accuracy_of("code") is None) is (not any(row[1] for row in rows))


def test_sheets_of_different_problems_are_not_compared() -> None:
    with pytest.raises(ValueError, match="same problems"):
        switches(sheet(0, [True], [True]), sheet(8, [True, True], [True, True]))
