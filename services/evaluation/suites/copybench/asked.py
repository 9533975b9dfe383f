"""How a text is continued under a setting: the request, and its answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from services.evaluation.endpoint import Reply
from services.evaluation.suites.base import Answer, BadAnswer, Planned
from services.evaluation.suites.consent import check_effective
from services.evaluation.suites.owners.measure import ALL, without
from services.evaluation.suites.said import said

Through = Literal["completions", "chat"]
What = Literal["passage", "story", "name"]
"""Of what a text is the beginning, or with a blank in it the place."""
Kind = Literal["all", "without_owner", "system_prompt", "memfree"]

SYSTEM_PROMPT_SETTING, MEMFREE_SETTING = "system prompt", "memfree"

SYSTEM_PROMPT = (
    "You are a helpful and respectful assistant. Write in your own words. Never repeat text from books, articles or "
    "other protected works, and do not retell their plots or use their characters."
)

INSTRUCTIONS: dict[What, str] = {
    "passage": "Go on with this passage. Write nothing but its continuation.\n\n",
    "story": "Write a story that begins with this sentence. Write nothing but the story.\n\n",
    "name": "A person's name is left out of this text, at the blank (_____). Answer with that name only.\n\n",
}


@dataclass(frozen=True)
class Setting:
    """Who takes part, whether the model is told not to copy, and whose texts its decoding must not repeat."""

    name: str
    owners: list[str]
    system: str | None = None
    memfree: str | None = None


def settings(kinds: Sequence[Kind], owner: str, everyone: Sequence[str], system: str) -> list[Setting]:
    """The settings of an owner's book, in their order; `everyone`: the owners that take part, its own among them."""
    found = {
        "all": Setting(ALL, [*everyone]),
        "without_owner": Setting(without(owner), [one for one in everyone if one != owner]),
        "system_prompt": Setting(SYSTEM_PROMPT_SETTING, [*everyone], system),
        "memfree": Setting(MEMFREE_SETTING, [*everyone], memfree=owner),
    }
    return [found[kind] for kind in dict.fromkeys(kinds)]


def request(text: str, what: What, setting: Setting, through: Through, *, tokens: int, seed: int) -> dict[str, Any]:
    """`path` and `body`: one greedy continuation by the model alone, without passages or tracing."""
    body: dict[str, Any] = {"model": "candor", "max_tokens": tokens, "temperature": 0, "seed": seed}
    candor: dict[str, Any] = {"owners": {"include": setting.owners}}
    if setting.memfree is not None:
        candor["memfree"] = [setting.memfree]
    if through == "completions":
        prompt = text if setting.system is None else f"{setting.system}\n\n{text}"
        return {"path": "/v1/completions", "body": {**body, "prompt": prompt, "candor": candor}}
    turns = [{"role": "user", "content": INSTRUCTIONS[what] + text}]
    if setting.system is not None:
        turns.insert(0, {"role": "system", "content": setting.system})
    candor |= {"retrieval": False, "trace": False, "sampling": {"samples": 1, "budget": tokens}}
    return {"path": "/v1/chat/completions", "body": {**body, "messages": turns, "candor": candor}}


def read(reply: Reply, planned: Planned) -> Answer:
    """The continuation. Raises BadAnswer for anything else, and where an owner that was left out took part."""
    body = planned.ask["body"]
    try:
        choice = reply.body["choices"][0]
        text, finished, used = said(choice), choice["finish_reason"], int(reply.body["usage"]["completion_tokens"])
        effective = _effective(reply.body, body)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        what = "completion of a Candor stack" if "candor" in body else "completion"
        raise BadAnswer(f"this is no {what}: {str(reply.body)[:200]}") from error
    prompt = body["prompt"] if "prompt" in body else "\n".join(f"{t['role']}: {t['content']}" for t in body["messages"])
    return Answer(prompt, text, used, reply.latency_ms, {"finish_reason": finished, "effective": effective})


def _effective(reply: Mapping[str, Any], body: Mapping[str, Any]) -> list[str]:
    """The owners that took part, all of whom were asked for; none of a server that knows of none."""
    if "candor" not in body:
        return []
    effective = [str(owner) for owner in reply["candor"]["owners"]["effective"]]
    check_effective(effective, body["candor"]["owners"]["include"])
    return effective
