"""OpenAI's fields that would change an answer and are not served: a value without effect passes, others are refused.

An answer computed otherwise than it was asked for is worse than none: a field that is ignored is for those that
change nothing. In this file are the types of the fields.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator


def _penalty(value: float) -> float:
    if value:
        raise ValueError("penalties are not served. Leave it out, or send 0")
    return value


def _suffix(value: str) -> str:
    if value:
        raise ValueError("insertion before a suffix is not served. Leave it out")
    return value


def _format(value: dict[str, Any]) -> dict[str, Any]:
    if value.get("type") != "text":
        raise ValueError("only the type 'text' is served. Ask for another form in the messages")
    return value


def _tools(value: list[Any]) -> list[Any]:
    if value:
        raise ValueError("tools are not served. Leave them out")
    return value


def _choice(value: Any) -> Any:
    if value not in ("none", "auto"):
        raise ValueError("tools are not served, so that none can be called. Leave it out")
    return value


def _modalities(value: list[str]) -> list[str]:
    if value != ["text"]:
        raise ValueError("only text is served: leave it out, or send ['text']")
    return value


Penalty = Annotated[float, AfterValidator(_penalty)]
Suffix = Annotated[str, AfterValidator(_suffix)]
ResponseFormat = Annotated[dict[str, Any], AfterValidator(_format)]
Tools = Annotated[list[Any], AfterValidator(_tools)]
ToolChoice = Annotated[Any, AfterValidator(_choice)]
Modalities = Annotated[list[str], AfterValidator(_modalities)]
