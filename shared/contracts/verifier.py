"""What checks a sample, for `sampling.verifier` of a request."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field

from shared.contracts.base import Strict, Text

LONGEST = 100_000
"""Characters of what a verifier is given."""
DEEPEST = 64
"""Objects and lists of a schema within each other."""


def _no_null(text: str) -> str:
    """No file and no process can be given one."""
    if "\0" in text:
        raise ValueError("a character of it is NUL")
    return text


def _small(schema: dict[str, Any]) -> dict[str, Any]:
    """It is sent on, and read again, by what fails at nesting without end."""
    level: list[Any] = [schema]
    for _ in range(DEEPEST):
        level = [part for value in level for part in _parts(value)]
    if level:
        raise ValueError(f"it is nested more than {DEEPEST} deep")
    if len(json.dumps(schema)) > LONGEST:
        raise ValueError(f"it is longer than {LONGEST} characters")
    return schema


def _parts(value: Any) -> list[Any]:
    return [*value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []


Given = Annotated[Text, AfterValidator(_no_null), Field(min_length=1, max_length=LONGEST)]


class MathVerifier(Strict):
    """Verified if the sample's final answer is mathematically equal to `answer` (math-verify)."""

    kind: Literal["math"]
    answer: Annotated[Given, Field(max_length=1000)]


class CodeVerifier(Strict):
    """Verified if the sample's Python code, followed by `tests`, runs to its end without an error.

    The code is the sample's last fenced block, or the whole sample. `seconds`: of wall time; `memory`: of the
    program's processes together, in MB.
    """

    kind: Literal["code"]
    tests: Given
    seconds: Annotated[float, Field(gt=0, le=60)] = 10.0
    memory: Annotated[int, Field(ge=64, le=4096)] = 512


class JsonSchemaVerifier(Strict):
    """Verified if the sample is JSON (the whole of it, or its last fenced block) that is valid under `schema`."""

    model_config = ConfigDict(serialize_by_alias=True)

    kind: Literal["json_schema"]
    json_schema: Annotated[dict[str, Any], AfterValidator(_small), Field(alias="schema")]


class RegexVerifier(Strict):
    """Verified if the pattern (of Python's `regex`) matches somewhere in the sample."""

    kind: Literal["regex"]
    pattern: Annotated[Given, Field(max_length=1000)]


class HttpVerifier(Strict):
    """Verified if this address says so: it is sent `{"question", "text", "answer"}` and answers `{"verified": bool}`.

    Only addresses on hosts that the gateway's settings name are called.
    """

    kind: Literal["http"]
    url: Annotated[Given, Field(max_length=2000)]


Verifier = Annotated[
    MathVerifier | CodeVerifier | JsonSchemaVerifier | RegexVerifier | HttpVerifier, Field(discriminator="kind")
]
