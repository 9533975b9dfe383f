"""The samples of an answer, and what they are worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.evaluation.endpoint import Reply
from services.evaluation.metrics.maths import final_answer, same, value
from services.evaluation.metrics.sampling import borda, majority, most_confident, pass_at_k
from services.evaluation.suites.base import Answer, BadAnswer, Planned
from services.evaluation.suites.said import said

KS = (1, 2, 4, 8, 16, 32, 64)
ACCURACIES = ("majority", "confidence", "best", "verifier", "gateway")


def read_samples(reply: Reply, planned: Planned) -> Answer:
    """All samples of a chat completion, with their final answers. Raises BadAnswer if they are not there."""
    try:
        report = reply.body["candor"] if "candor" in planned.ask["body"] else _choices(reply.body)
        samples = [_sample(one) for one in report["samples"]]
        output, winner = said(reply.body["choices"][0]), int(report["winner"])
        if not 0 <= winner < len(samples):
            raise IndexError(f"the winner is sample {winner} of {len(samples)}")
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise BadAnswer(f"the answer does not say its samples: {str(reply.body)[:200]}") from error
    if failed := report.get("failed"):
        raise BadAnswer(f"a stage failed: {'; '.join(str(one) for one in failed)}")
    if len(samples) != planned.ask["samples"]:
        raise BadAnswer(f"{len(samples)} samples came, and {planned.ask['samples']} were asked for")
    details = {
        "samples": samples,
        "winner": winner,
        "timings": report.get("timings"),
        "tokens_saved": report.get("tokens_saved", 0),
    }
    prompt = "\n".join(f"{turn['role']}: {turn['content']}" for turn in planned.ask["body"]["messages"])
    return Answer(prompt, output, sum(one["tokens"] for one in samples), reply.latency_ms, details)


def _choices(body: Mapping[str, Any]) -> dict[str, Any]:
    """What any server says of `n` samples, as a stack would. It counts their tokens together: each has the mean."""
    choices = body["choices"]
    tokens, more = divmod(int(body["usage"]["completion_tokens"]), max(1, len(choices)))
    samples = [
        {
            "text": said(one),
            "confidence": None,
            "tokens": tokens + (at < more),
            "finish_reason": one["finish_reason"],
        }
        for at, one in enumerate(choices)
    ]
    return {"samples": samples, "winner": 0}


def _sample(one: Mapping[str, Any]) -> dict[str, Any]:
    text = str(one["text"])
    return {
        "text": text,
        "final": final_answer(text),
        "confidence": one["confidence"],
        "tokens": int(one["tokens"]),
        "finish_reason": one["finish_reason"],
        "verified": one.get("verified"),
    }


def scores(gold: Sequence[str], details: Mapping[str, Any], latency_ms: float) -> dict[str, float]:
    """Every measure of one answer."""
    samples, right = details["samples"], correct(gold, details["samples"])
    count = len(samples)
    found = {f"pass@{k}": pass_at_k(count, sum(right), k) for k in KS if k <= count}
    chosen = {rule: choice(rule, samples, right) for rule in ("majority", "confidence", "best", "verifier")}
    found |= {rule: float(at is not None and right[at]) for rule, at in chosen.items()}
    found |= {
        "gateway": float(right[details["winner"]]),
        "unparsed": sum(not _said(one["final"], gold) for one in samples) / count,
        "truncated": sum(one["finish_reason"] == "length" for one in samples) / count,
        "tokens": sum(one["tokens"] for one in samples) / count,
        "milliseconds": latency_ms,
    }
    checked = zip((one["verified"] for one in samples), right, strict=True)
    # where the verifier says what is right, it would agree with itself
    agreeing = [verified == truth for verified, truth in checked if verified is not None and _by_number(gold)]
    return found | ({"verifier_agrees": sum(agreeing) / len(agreeing)} if agreeing else {})


def correct(gold: Sequence[str], samples: Sequence[Mapping[str, Any]]) -> list[bool]:
    """Which samples are right.

    Where a gold answer is a number, those whose final answer is that number: a verifier of mathematics also takes the
    question's own sum for its answer, as 38 + 72 equals 110. Elsewhere what the verifier said, and without one whether
    the final answer is the gold text.
    """
    return [
        any(same(one["final"], answer) for answer in gold)
        if _by_number(gold) or one["verified"] is None
        else bool(one["verified"])
        for one in samples
    ]


def _said(final: str, gold: Sequence[str]) -> bool:
    """Whether there is an answer; where the gold one is a number, only a number is."""
    return value(final) is not None if _by_number(gold) else bool(final)


def _by_number(gold: Sequence[str]) -> bool:
    """Whether the suite decides what is right, by the number."""
    return any(value(answer) is not None for answer in gold)


def choice(rule: str, samples: Sequence[Mapping[str, Any]], right: Sequence[bool]) -> int | None:
    """The sample that a rule chooses; None if it chooses none.

    `verifier` takes the first that was verified; where nothing was checked, the first that is right. Where a sample
    has no confidence, `confidence` counts heads, and `best` takes the first answer.
    """
    finals = [one["final"] for one in samples]
    confidences = [one["confidence"] for one in samples]
    unknown = any(confidence is None for confidence in confidences)
    if rule == "verifier":
        checked = any(one["verified"] is not None for one in samples)
        accepted = [bool(one["verified"]) for one in samples] if checked else right
        return next((at for at, is_accepted in enumerate(accepted) if is_accepted), None)
    if rule == "best":
        return most_confident(finals, [0.0] * len(finals) if unknown else confidences)
    if rule == "confidence" and not unknown:
        return borda(finals, confidences, same)
    return majority(finals, same)
