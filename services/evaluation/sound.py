"""What a suite gave, checked before anything is made of it: a plug-in can give whatever it likes."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from numbers import Real
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from services.evaluation.errors import BadPlan, fault_in
from services.evaluation.store.clean import clean
from services.evaluation.suites.base import Answer, BadAnswer, Plan, Planned, Suite, names

T = TypeVar("T")

_DEEPEST = 100
"""Levels of JSON: what has 256 can be stored, and not be sent again."""

_GREATEST = 1e100
"""Of a number: the square of a much greater one is none."""


def plan(suite: str, found: Any) -> Plan:
    """The plan, if each part of it can be kept. Raises BadPlan."""
    if not isinstance(found, Plan):
        raise BadPlan(suite, f"it is no Plan, but {_kind(found)}.")
    try:
        checked = _Plan.model_validate(found)
    except ValidationError as error:
        raise BadPlan(suite, _said(error)) from error
    return Plan([Planned(**dict(item)) for item in checked.items], checked.versions, checked.warnings)


def answer(found: Any) -> Answer:
    """The answer, if it can be kept: what the endpoint says of its tokens is not checked before. Raises BadAnswer."""
    if not isinstance(found, Answer):
        raise BadAnswer(f"the suite gave no Answer, but {_kind(found)}")
    if not isinstance(found.prompt, str) or not isinstance(found.output, str):
        raise BadAnswer(f"prompt and output are to be texts: they are {_kind(found.prompt)} and {_kind(found.output)}")
    tokens = found.tokens
    if tokens is not None and (not isinstance(tokens, int) or isinstance(tokens, bool) or not 0 <= tokens < 2**31):
        raise BadAnswer(f"the answer says that it has {str(tokens)[:80]!r} tokens")
    latency = _number("latency_ms", found.latency_ms)
    if not isinstance(found.details, Mapping):
        raise BadAnswer(f"the suite's details of the answer are to be an object: they are {_kind(found.details)}")
    try:
        details = json_kept(found.details)
    except ValueError as error:
        raise BadAnswer(f"the suite's details of the answer are {error}") from error
    return Answer(found.prompt, found.output, tokens, latency, details)


def scores(suite: Suite, found: Any) -> dict[str, float]:
    """The scores, if a mean can be made of each and the suite has a use for it. Raises BadAnswer.

    A suite that declares no metric has scores of any name: they stand with the item alone.
    """
    if not isinstance(found, Mapping):
        raise BadAnswer(f"the suite's scores are to be numbers by name: they are {_kind(found)}")
    used = names(suite)
    for name in found:
        if not isinstance(name, str) or (suite.metrics and name not in used):
            metrics = ", ".join(suite.metrics)
            raise BadAnswer(f"no metric of the suite is made of the score {name!r}; its metrics: {metrics}")
    return {name: _number(name, value) for name, value in found.items()}


def checked(kind: type[T], found: Any) -> T:
    """What a part of a suite gave, as this type. Raises TypeError."""
    try:
        return TypeAdapter(kind).validate_python(clean(found))
    except ValidationError as error:
        raise TypeError(f"what it gave is {_kind(found)}. {_said(error)}") from error


def json_kept(value: Any) -> Any:
    """The value as JSON has it. Raises ValueError for what is none, or cannot be sent again."""
    try:
        found = json.loads(json.dumps(clean(value)))
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"no JSON ({error})") from error
    if any(depth > _DEEPEST for depth, _ in enumerate(levels(found))):
        raise ValueError(f"nested more than {_DEEPEST} deep")
    return found


def levels(value: Any) -> Iterator[list[Any]]:
    """This JSON itself, then all that stands in it, then all that stands in that; names of fields too."""
    level = [value]
    while level:
        yield level
        level = [part for one in level for part in _parts(one)]


def _parts(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [*value, *value.values()]
    return value if isinstance(value, list) else []


def _number(name: str, value: Any) -> float:
    try:
        # Python takes True for 1
        number = float(value) if isinstance(value, Real) and not isinstance(value, bool) else math.nan
    except OverflowError:
        number = math.inf
    if not abs(number) <= _GREATEST:
        raise BadAnswer(f"its {name} is {str(value)[:80]!r}, of which no mean can be made")
    return number


def _kind(value: Any) -> str:
    return f"of the type {type(value).__name__}"


def _said(error: ValidationError) -> str:
    fault = error.errors()[0]
    return fault_in(".".join(map(str, fault["loc"])), fault)


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, from_attributes=True)


_Text = Annotated[str, BeforeValidator(clean)]
_Texts = Annotated[list[_Text], Field(strict=False)]
_Name = Annotated[str, Field(min_length=1, max_length=500), BeforeValidator(clean)]
"""Indexed, and PostgreSQL has no room for more."""


class _Item(_Strict):
    id: _Name
    question_id: _Name
    set: _Text
    setting: _Text
    question: _Text
    gold: _Texts
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)]
    ask: Annotated[dict[str, Any], BeforeValidator(json_kept)]
    cluster: _Text | None


class _Plan(_Strict):
    items: Annotated[list[_Item], Field(strict=False)]
    versions: dict[str, str]
    warnings: _Texts
