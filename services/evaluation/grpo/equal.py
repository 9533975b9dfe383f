"""Whether a response's final answer is the gold one: numbers by value, the rest as mathematics."""

from __future__ import annotations

import logging
from functools import lru_cache

from services.evaluation.metrics.maths import final_answer, same, value


def right(response: str, gold: str) -> bool:
    """Whether the final answer equals `gold`; no answer never does. Only in a main thread, see `equal`."""
    return equal(final_answer(response), gold)


@lru_cache(maxsize=65536)
def equal(answer: str, gold: str) -> bool:
    """Whether two answers are equal.

    math-verify decides what is no number (it stops long computations by a signal, and so works in main threads only).
    It does not decide numbers: to it ``38 + 72 = N`` is equal to 110.
    """
    if same(answer, gold):
        return True
    if not answer.strip() or value(gold) is not None:
        return False
    from math_verify import parse, verify  # noqa: PLC0415 - sympy takes a second, and numbers do not need it

    logging.getLogger("math_verify").setLevel(logging.ERROR)
    return bool(verify(parse(f"${gold}$"), parse(f"${answer}$")))
