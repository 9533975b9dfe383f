"""What a chat completion says, and whether it was made under the setting that was asked for."""

from __future__ import annotations

from typing import Any

from services.evaluation.endpoint import Reply
from services.evaluation.suites.base import Answer, BadAnswer, Planned
from services.evaluation.suites.said import said


def read_answer(reply: Reply, planned: Planned) -> Answer:
    """The answer in a chat completion. Raises BadAnswer if there is none, or not of the setting.

    Only the fields that scoring needs are read, so that any OpenAI-compatible endpoint can be evaluated closed book;
    the settings with retrieval need Candor's report of what was read.
    """
    try:
        choice = reply.body["choices"][0]
        output, finished = said(choice), choice["finish_reason"]
    except (KeyError, IndexError, TypeError) as error:
        raise BadAnswer(f"this is no chat completion: {str(reply.body)[:200]}") from error
    report = reply.body.get("candor")
    if report is None and planned.setting != "closed_book":
        raise BadAnswer("the answer does not say which passages it read (no `candor` object): is this a Candor stack?")
    details = {"finish_reason": finished, **_who_took_part(report or {}, planned)}
    if fingerprint := reply.body.get("system_fingerprint"):
        details["fingerprint"] = fingerprint
    usage = reply.body.get("usage") or {}
    prompt = "\n".join(f"{turn['role']}: {turn['content']}" for turn in planned.ask["body"]["messages"])
    return Answer(prompt, output, usage.get("completion_tokens"), reply.latency_ms, details)


def _who_took_part(report: dict[str, Any], planned: Planned) -> dict[str, Any]:
    """The short answer that the gateway found, the passages, and the effective owners.

    An owner that was left out and took part all the same voids the item.
    """
    try:
        passages = [{"document": one["document"], "owner": one["owner"]} for one in report.get("passages", [])]
        effective = list(report.get("owners", {}).get("effective", []))
        short = report["samples"][report["winner"]]["answer"] if report.get("samples") else None
        failed = [f"{one['stage']}: {one['error']}" for one in report.get("failed", [])]
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise BadAnswer(f"the `candor` object breaks the contract: {str(report)[:200]}") from error
    if failed:
        raise BadAnswer(f"a stage failed: {'; '.join(failed)}")
    if planned.setting == "closed_book" and passages:
        raise BadAnswer("asked closed book, and passages were read")
    owner = planned.ask["owner"]
    if planned.setting == "rag_without_owner" and (
        owner in effective or any(passage["owner"] == owner for passage in passages)
    ):
        raise BadAnswer(f"the owner {owner} was left out and took part all the same")
    return {"answer": short, "passages": passages, "owners": effective}
