"""The soak's requests: made at random, asked over HTTP, and what came back in one form."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import httpx

PUBLIC = "public"
_TEXTS = 400
"""Pieces of the pulled texts that prompts are made from."""


class Refused(Exception):
    """The service refused, or broke off, with one of its own errors."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code


@dataclass(frozen=True)
class Request:
    """What is asked, and under which experts."""

    path: str
    body: dict[str, Any]
    experts: tuple[str, ...]

    @property
    def streamed(self) -> bool:
        """Whether the answer comes in events."""
        return bool(self.body.get("stream"))


@dataclass
class Part:
    """A sample's text, or nothing for a scored text; its statistics by token; its routing shares by expert."""

    text: str = ""
    logprobs: list[float] = field(default_factory=list)
    means: list[float] = field(default_factory=list)
    routing: dict[str, float] = field(default_factory=dict)


@dataclass
class Answer:
    """The experts that the service says it applied, and the parts."""

    experts: list[str]
    parts: list[Part]

    def faults(self, request: Request) -> list[str]:
        """Where the mask did not hold."""
        allowed = {PUBLIC, *request.experts}
        found = [] if set(self.experts) == allowed else [f"applied {self.experts}, asked for {sorted(allowed)}"]
        for part in self.parts:
            used = {expert for expert, share in part.routing.items() if share > 0}
            if used - allowed or abs(sum(part.routing.values()) - 1) > 1e-3:
                found.append(f"routing {part.routing} under {sorted(allowed)}")
        return found


class Maker:
    """Random requests over the pulled texts, the same for a seed."""

    def __init__(self, home: Path, experts: Sequence[str], seed: int) -> None:
        self._random, self._experts = Random(seed), list(experts)
        self._texts = _pieces(home)

    def request(self) -> Request:
        """A chat, a completion or a score; any mask, length, n, temperature; streamed or whole."""
        random = self._random
        experts = tuple(random.sample(self._experts, random.randint(0, len(self._experts))))
        kind = random.choice(("chat", "chat", "completion", "completion", "score"))
        if kind == "score":
            texts = [self._text(random.randint(5, 600)) for _ in range(random.randint(1, 4))]
            return Request("/v1/score", {"model": "candor", "texts": texts, "experts": [PUBLIC, *experts]}, experts)
        body: dict[str, Any] = {
            "model": "candor",
            "max_tokens": random.choice((1, 8, 16, 32, 64)),
            "n": random.choice((1, 1, 1, 2, 4)),
            "candor": {"experts": [PUBLIC, *experts], "tokens": True},
            "stream": random.random() < 0.5,
        }
        body |= random.choice(
            (
                {"temperature": 0},
                {"temperature": 0.8, "seed": random.randrange(1 << 30)},
                {"temperature": 1.2, "top_p": 0.9, "seed": random.randrange(1 << 30)},
            )
        )
        prompt = self._text(random.choice((20, 200, 800, 2000)))
        if kind == "chat":
            if body["stream"]:
                body["stream_options"] = {"include_usage": True}
            return Request("/v1/chat/completions", body | {"messages": [{"role": "user", "content": prompt}]}, experts)
        return Request("/v1/completions", body | {"prompt": prompt}, experts)

    def _text(self, characters: int) -> str:
        text = self._random.choice(self._texts)
        start = self._random.randrange(max(1, len(text) - characters))
        return text[start : start + characters].strip() or "The"


async def ask(client: httpx.AsyncClient, request: Request) -> Answer:
    """The whole answer. Raises Refused."""
    if request.streamed:
        return await _streamed(client, request)
    response = await client.post(request.path, json=request.body)
    body = response.json()
    if response.is_error:
        raise _refused(body)
    applied = body["candor"]["experts"]
    if request.path == "/v1/score":
        return Answer(applied, [_part("", text | {"mean_logprobs": text["means"]}) for text in body["data"]])
    texts = (choice.get("text") or choice.get("message", {}).get("content", "") for choice in body["choices"])
    return Answer(applied, [_part(text, c["candor"]) for text, c in zip(texts, body["choices"], strict=True)])


async def _streamed(client: httpx.AsyncClient, request: Request) -> Answer:
    texts: dict[int, str] = dict.fromkeys(range(request.body["n"]), "")
    details: dict[int, dict[str, Any]] = {}
    applied: list[str] = []
    async with client.stream("POST", request.path, json=request.body) as response:
        if response.is_error:
            raise _refused(json.loads(await response.aread()))
        async for line in response.aiter_lines():
            if not line.startswith("data: {"):
                continue
            event = json.loads(line.removeprefix("data: "))
            if "error" in event:
                raise _refused(event)
            for choice in event["choices"]:
                texts[choice["index"]] += choice.get("text") or choice.get("delta", {}).get("content") or ""
                if choice.get("candor"):
                    details[choice["index"]] = choice["candor"]
            said = event.get("candor") or {}
            applied = said.get("experts", applied)
            details |= dict(enumerate(said.get("samples", [])))
    return Answer(applied, [_part(text, details[index]) for index, text in sorted(texts.items())])


def _part(text: str, detail: dict[str, Any]) -> Part:
    return Part(text, detail["logprobs"], detail["mean_logprobs"], detail["routing"])


def _refused(body: dict[str, Any]) -> Refused:
    error = body.get("error", body)
    return Refused(error.get("code", "unknown"), error.get("message") or error.get("detail", ""))


def _pieces(home: Path) -> list[str]:
    files = sorted((home / "texts").glob("*/*.jsonl"))
    pieces: list[str] = []
    for file in files:
        with file.open(encoding="utf-8") as lines:
            pieces += [json.loads(line)["text"] for _, line in zip(range(_TEXTS // len(files)), lines, strict=False)]
    return [piece for piece in pieces if len(piece) > 40]
