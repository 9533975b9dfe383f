"""For suites whose items are one chat completion each: how it is asked, and what answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.evaluation.endpoint import Endpoint
from services.evaluation.suites import outside
from services.evaluation.suites.base import Answer, BadAnswer, Plan, Planned
from services.evaluation.suites.said import said
from services.evaluation.suites.served import served


class ChatSuite:
    """A suite's `describe`, `answer` and `outside`, where `ask["body"]` of an item is the chat completion to send."""

    async def describe(self, endpoint: Endpoint, versions: Mapping[str, str]) -> dict[str, str]:
        """What is served. Raises EndpointError if the plan's `model` is not."""
        return await served(endpoint, versions.get("model"))

    async def answer(self, planned: Planned, endpoint: Endpoint) -> Answer:
        """Text, tokens and the endpoint's `candor` object, if it sent one. Raises EndpointError or BadAnswer."""
        body: dict[str, Any] = planned.ask["body"]
        reply = await endpoint.post("/v1/chat/completions", body, item=planned.id)
        try:
            choice = reply.body["choices"][0]
            details = {"finish_reason": choice["finish_reason"], "candor": reply.body.get("candor")}
            tokens = (reply.body.get("usage") or {}).get("completion_tokens")
            prompt = "\n".join(f"{turn['role']}: {turn['content']}" for turn in body["messages"])
            return Answer(prompt, said(choice), tokens, reply.latency_ms, details)
        except (KeyError, IndexError, TypeError) as error:
            raise BadAnswer(f"this is no chat completion: {str(reply.body)[:200]}") from error

    def outside(self, plan: Plan, there: outside.Outside) -> Plan:
        """What of the plan can be asked of a server that is no Candor stack."""
        return outside.each(plan, there, lambda item: outside.chat(item.ask, there.model))
