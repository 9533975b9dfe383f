"""The checks that run in a process of their own: each may take for ever, and is ended from outside."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
from typing import Any

from gateway.verify.fenced import last_block

_MEMORY_BYTES = 2 << 30
"""Of address space; sympy takes a tenth of it."""
_PR_SET_PDEATHSIG = 1


def prepare(gateway: int) -> None:
    """What a process of the `gateway` (its process id) does before its first check: its limits, and the imports that
    take long. It ends with the gateway, however that ends: nobody else would end a check that takes for ever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != gateway:
        sys.exit("the gateway has ended")
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    import jsonschema  # noqa: F401
    import math_verify  # noqa: F401


def equal(answer: str, text: str) -> bool:
    """Whether the last expression of a text is mathematically equal to the answer."""
    from math_verify import parse, verify

    return bool(verify(_expression(answer), parse(text)))


def answer_fault(answer: str) -> str | None:
    """Why nothing can be equal to this answer; None if something can."""
    # what it could not parse, math-verify keeps as a string
    if all(isinstance(part, str) for part in _expression(answer)):
        return f"{answer!r} is no number, expression, set or interval"
    return None


def found(pattern: str, text: str) -> bool:
    """Whether a pattern matches somewhere in a text."""
    import regex

    return regex.search(pattern, text) is not None


def pattern_fault(pattern: str) -> str | None:
    """Why a pattern is none; None if it is one."""
    import regex

    try:
        regex.compile(pattern)
    except regex.error as error:
        return f"{pattern!r} is no regular expression: {error}"
    return None


def valid(schema: dict[str, Any], text: str) -> bool:
    """Whether a text, else its last fenced block, is JSON and valid under the schema. A `$ref` to elsewhere raises."""
    import referencing
    from jsonschema.validators import validator_for

    try:
        instance = _json(text)
    except (ValueError, RecursionError):
        return False
    # with a registry of its own, for the default one fetches what a `$ref` names from wherever it is
    validator = validator_for(schema, _default())(schema, registry=referencing.Registry())
    return bool(validator.is_valid(instance))


def _json(text: str) -> Any:
    """What the text says. Raises ValueError, RecursionError."""

    def no_number(word: str) -> None:
        raise ValueError(f"{word} is Python's, not JSON")

    block = last_block(text, ("json",))
    try:
        return json.loads(text, parse_constant=no_number)
    except ValueError:
        if block is None:
            raise
        return json.loads(block, parse_constant=no_number)


def schema_fault(schema: dict[str, Any]) -> str | None:
    """Why a schema is none; None if it is one."""
    import jsonschema
    from jsonschema.validators import validator_for

    try:
        validator_for(schema, _default()).check_schema(schema)
    except jsonschema.SchemaError as error:
        return f"it is no JSON schema: {error.message}"
    return None


def _default() -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator


def _expression(answer: str) -> Any:
    """The answer as an expression: as LaTeX, unless it says itself what of it is."""
    from math_verify import parse

    if "$" in answer or "\\boxed" in answer:
        return parse(answer)
    return parse(f"${answer}$") or parse(answer)
