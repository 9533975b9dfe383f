"""Which samples count as right, and what the verifier is worth."""

from typing import Any

import pytest

from services.evaluation.suites.thinking_samples import correct, scores


def sample(final: str, verified: bool | None, confidence: float = 1.0) -> dict[str, Any]:
    return {"final": final, "verified": verified, "confidence": confidence, "tokens": 4, "finish_reason": "stop"}


def test_the_sum_of_the_question_is_not_its_answer_though_a_verifier_accepts_it() -> None:
    samples = [sample("N", True), sample("110", True), sample("38", False)]
    assert correct(["110"], samples) == [False, True, False]
    found = scores(["110"], {"samples": samples, "winner": 1}, 5.0)
    assert found["verifier"] == 0
    assert found["verifier_agrees"] == pytest.approx(2 / 3)
    assert found["unparsed"] == pytest.approx(1 / 3)
    assert found["pass@1"] == pytest.approx(1 / 3)


def test_an_answer_that_is_no_number_is_the_verifiers_business() -> None:
    samples = [sample("y + x", True), sample("x + y", None), sample("x + y", False)]
    assert correct(["x + y"], samples) == [True, True, False]
    # and that it agrees with itself says nothing of it
    assert "verifier_agrees" not in scores(["x + y"], {"samples": samples, "winner": 0}, 5.0)


def test_without_a_verifier_its_rule_is_that_of_one_that_is_never_wrong() -> None:
    found = scores(["3"], {"samples": [sample("2", None), sample("3", None)], "winner": 0}, 5.0)
    assert (found["verifier"], found["gateway"]) == (1, 0)
    assert "verifier_agrees" not in found


def test_without_confidences_heads_are_counted() -> None:
    samples = [sample("1", None) | {"confidence": None}, sample("2", None), sample("2", None)]
    found = scores(["2"], {"samples": samples, "winner": 0}, 5.0)
    assert (found["confidence"], found["best"]) == (1, 0)
