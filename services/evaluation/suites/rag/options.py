"""Multiple choice by the log-probability of each choice's text, after the passages that were found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from services.evaluation.endpoint import Endpoint
from services.evaluation.suites.base import Answer, BadAnswer, Planned


async def weigh(planned: Planned, endpoint: Endpoint) -> Answer:
    """Search if the setting does, then score all choices in one request. Raises EndpointError or BadAnswer."""
    ask, passages, took = planned.ask, list[dict[str, str]](), 0.0
    if ask["search"] is not None:
        found = await endpoint.post("/v1/search", ask["search"], item=planned.id)
        passages, took = _passages(found.body), found.latency_ms
    shown = passages if ask["order"] == "best_first" else passages[::-1]
    prompt = "".join(f"{one['text']}\n\n" for one in shown) + f"Question: {planned.question}\nAnswer:"
    body = {
        "model": ask["model"],
        "prompt": [f"{prompt} {choice}" for choice in ask["choices"]],
        "echo": True,
        "logprobs": 1,
        "max_tokens": 0,
        "temperature": 0,
    }
    reply = await endpoint.post("/v1/completions", body, item=planned.id)
    sums = _sums(reply.body, len(prompt), len(ask["choices"]))
    details = {
        "logprobs": sums,
        "characters": [len(choice) for choice in ask["choices"]],
        "passages": [{key: one[key] for key in ("document", "owner")} for one in passages],
        "texts": [one["text"] for one in passages],
    }
    best = max(range(len(sums)), key=lambda choice: sums[choice] / max(1, len(ask["choices"][choice])))
    return Answer(prompt, ask["choices"][best], None, took + reply.latency_ms, details)


def right(planned: Planned, details: dict[str, Any]) -> dict[str, float]:
    """accuracy: the choice with the highest log-probability a character; accuracy_sum: the highest in all."""
    sums, lengths = details["logprobs"], details["characters"]
    each = [total / max(1, length) for total, length in zip(sums, lengths, strict=True)]
    gold = planned.ask["gold"]
    return {"accuracy": float(_best(each) == gold), "accuracy_sum": float(_best(sums) == gold)}


def _best(values: Sequence[float]) -> int:
    return max(range(len(values)), key=lambda place: values[place])


def _passages(body: dict[str, Any]) -> list[dict[str, str]]:
    """Raises BadAnswer, also when a stage that was asked for was left out."""
    try:
        if body.get("failed"):
            raise BadAnswer(f"a stage of the search failed: {body['failed']}")
        return [{key: str(one[key]) for key in ("document", "owner", "text")} for one in body["results"][0]]
    except (KeyError, IndexError, TypeError) as error:
        raise BadAnswer(f"this is no answer of a search: {str(body)[:200]}") from error


def _sums(body: dict[str, Any], begin: int, count: int) -> list[float]:
    """The log-probability of what follows character `begin` of each prompt. Raises BadAnswer without echo."""
    try:
        found = []
        for choice in sorted(body["choices"], key=lambda one: int(one["index"])):
            said = choice["logprobs"]
            pairs = zip(said["text_offset"], said["token_logprobs"], strict=True)
            found.append([float(logprob) for offset, logprob in pairs if offset >= begin])
    except (KeyError, TypeError, ValueError) as error:
        raise BadAnswer(f"these are no echoed log-probabilities: {str(body)[:200]}") from error
    if len(found) != count or not all(found):
        raise BadAnswer(f"{sum(map(bool, found))} of {count} choices were scored: does the endpoint serve `echo`?")
    return [sum(logprobs) for logprobs in found]
