"""Generated answers: what was said, which passages were read, and how it compares with gold."""

from __future__ import annotations

import re
from typing import Any

from services.evaluation.endpoint import Endpoint
from services.evaluation.metrics.answers import contains_gold, exact_match, token_f1
from services.evaluation.metrics.maths import final_answer, same
from services.evaluation.suites.base import Answer, BadAnswer, Planned
from services.evaluation.suites.rag.plan import CLOSED_BOOK
from services.evaluation.suites.said import said
from services.evaluation.suites.sets.problem import LETTERS

_CITATION = re.compile(r"\s*\[\d+\]")
_LETTER = re.compile(r"\b(?:answer(?:\s+is)?\s*:?\s*)?\(?([A-Z])\)?(?=[\s.,:;)]|$)")
_SAID = re.compile(r"(?i:answer(?:\s+is)?\s*:?\s*\**)(?:([A-Z])\b|\(([A-Za-z])\)|([a-z])(?=\s*(?:[.,;:)*]|$)))")
"""A small letter only in brackets or at the end of what is said: "the answer is a mammal" names no choice."""

_WORDS = "AI"
"""Letters that alone in a sentence are words more often than choices."""


async def ask(planned: Planned, endpoint: Endpoint) -> Answer:
    """One chat completion. Raises EndpointError, or BadAnswer where it was made under another setting."""
    body = planned.ask["body"]
    reply = await endpoint.post("/v1/chat/completions", body, item=planned.id)
    try:
        choice, report = reply.body["choices"][0], reply.body.get("candor") or {}
        output, finished = said(choice), choice["finish_reason"]
        passages = report.get("passages", [])
        details = {
            "finish_reason": finished,
            "passages": [{key: one[key] for key in ("document", "owner")} for one in passages],
            "texts": [str(one.get("text", "")) for one in passages],
            "answer": report["samples"][report["winner"]]["answer"] if report.get("samples") else None,
        }
        failed = report.get("failed")
    except (KeyError, IndexError, TypeError) as error:
        raise BadAnswer(f"this is no chat completion: {str(reply.body)[:200]}") from error
    if failed:
        raise BadAnswer(f"a stage failed: {failed}")
    if not report and planned.setting != CLOSED_BOOK:
        raise BadAnswer("the answer does not say which passages it read (no `candor` object): is this a Candor stack?")
    if passages and planned.setting == CLOSED_BOOK:
        raise BadAnswer("asked closed book, and passages were read")
    prompt = "\n".join(f"{turn['role']}: {turn['content']}" for turn in body["messages"])
    tokens = (reply.body.get("usage") or {}).get("completion_tokens")
    return Answer(prompt, output, tokens, reply.latency_ms, details)


def scored(planned: Planned, output: str, details: dict[str, Any]) -> dict[str, float]:
    """By the kind of question: a letter, the end of a worked solution, or a short answer."""
    text = _CITATION.sub("", output)
    truncated = {"truncated": float(details["finish_reason"] == "length")}
    if planned.ask["method"] == "letter":
        found = letter(text, len(planned.ask["choices"]))
        return {"accuracy": float(found == planned.ask["gold"]), "unparsed": float(found is None), **truncated}
    if planned.ask["worked"]:
        final = final_answer(text)
        right = any(same(final, gold) for gold in planned.gold)
        return {"accuracy": float(right), "unparsed": float(not final), **truncated}
    short = details["answer"] or text
    return {
        "contains_gold": contains_gold(text, planned.gold),
        "f1": token_f1(short, planned.gold),
        "exact_match": exact_match(short, planned.gold),
        **truncated,
    }


def letter(text: str, choices: int) -> int | None:
    """The place of the letter that an answer names: after "answer is", else at its beginning, else its only one."""
    allowed = LETTERS[:choices]
    said = [one for found in _SAID.findall(text) if (one := "".join(found).upper()) in allowed]
    if said:
        return allowed.index(said[-1])
    if (start := re.match(r"\s*\**\(?([A-Z])\b(?![' ]\w)|\s*\**\(?([A-Z])[).:]", text)) is not None:
        first = start[1] or start[2]
        return allowed.index(first) if first in allowed else None
    named = {one for one in _LETTER.findall(text) if one in allowed and one not in _WORDS}
    return allowed.index(named.pop()) if len(named) == 1 else None
