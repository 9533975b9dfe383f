"""The filter of a request: which passages it wants, by what is known of their documents.

It says nothing of owners: whose passages may be found is the effective owners' matter, and a filter only takes away.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

FIELDS = ("document", "title", "source", "licence", "url")
METADATA = "metadata."

_DEEPEST = 8
_MOST = 1000
_JOINS = ("all", "any", "not")
_COMPARE = ("eq", "ne", "lt", "lte", "gt", "gte", "in", "exists")

Value = str | int | float | bool


class BadFilter(ValueError):
    """The filter is none; `place` is where in it, and the message says what belongs there."""

    def __init__(self, place: str, fault: str) -> None:
        super().__init__(f"{place}: {fault}")
        self.place = place


@dataclass(frozen=True)
class Comparison:
    """One field against a value: `kind` is one of eq, ne, lt, lte, gt, gte, in, exists. `types` are the names of the
    values' types: to Python, true equals 1."""

    field: str
    kind: str
    value: Value | tuple[Value, ...]
    types: tuple[str, ...]


@dataclass(frozen=True)
class Filter:
    """`all` of the parts, `any` of them, or `not` the one; parts are comparisons and filters. It can be hashed."""

    join: str
    parts: tuple[Comparison | Filter, ...]


def parse(wanted: Mapping[str, Any]) -> Filter:
    """The filter of a JSON object.

    Its members all have to hold. A member is a field with the value it must have, with a list of those it may have, or
    with an object of comparisons that must all hold; or `all` or `any` with a list of filters, or `not` with one.
    Raises BadFilter.
    """
    return _parse(wanted, "filter", 0, iter(range(_MOST)))


def _parse(wanted: Mapping[str, Any], place: str, depth: int, left: Iterator[int]) -> Filter:
    """`left` has so many members as the whole filter may have yet."""
    if depth > _DEEPEST:
        raise BadFilter(place, f"filters may be nested {_DEEPEST} deep")
    if not wanted:
        raise BadFilter(place, "it is empty")
    parts = [part for name, said in wanted.items() for part in _member(name, said, f"{place}.{name}", depth, left)]
    return Filter("all", tuple(parts))


def _member(name: str, said: Any, here: str, depth: int, left: Iterator[int]) -> Sequence[Comparison | Filter]:
    if next(left, None) is None:
        raise BadFilter(here, f"a filter has at most {_MOST} members")
    if name in _JOINS:
        return [_joined(name, said, here, depth, left)]
    if name not in FIELDS and not (name.startswith(METADATA) and len(name) > len(METADATA)):
        fields = ", ".join(FIELDS)
        raise BadFilter(here, f"there is no such field: it can be {fields}, {METADATA}NAME, {', '.join(_JOINS)}")
    if isinstance(said, dict):
        if not said:
            raise BadFilter(here, f"give one of {', '.join(_COMPARE)}")
        return [_comparison(name, kind, value, f"{here}.{kind}") for kind, value in said.items()]
    return [_comparison(name, "in" if isinstance(said, list) else "eq", said, here)]


def _joined(name: str, said: Any, here: str, depth: int, left: Iterator[int]) -> Filter:
    if name == "not":
        if not isinstance(said, dict):
            raise BadFilter(here, "it takes one filter")
        return Filter("not", (_parse(said, here, depth + 1, left),))
    if not isinstance(said, list) or not said or not all(isinstance(part, dict) for part in said):
        raise BadFilter(here, "it takes a list of filters")
    return Filter(name, tuple(_parse(part, f"{here}.{number}", depth + 1, left) for number, part in enumerate(said)))


def _comparison(field: str, kind: str, value: Any, here: str) -> Comparison:
    if kind not in _COMPARE:
        raise BadFilter(here, f"there is no such comparison: it can be {', '.join(_COMPARE)}")
    if kind == "exists":
        if not isinstance(value, bool):
            raise BadFilter(here, "it takes true or false")
    elif kind == "in":
        if not isinstance(value, list) or not 1 <= len(value) <= _MOST:
            raise BadFilter(here, f"it takes a list of 1 to {_MOST} values")
        values = tuple(_value(one, f"{here}.{number}") for number, one in enumerate(value))
        return Comparison(field, kind, values, tuple(type(one).__name__ for one in values))
    elif kind not in ("eq", "ne") and (isinstance(value, bool) or not isinstance(value, str | int | float)):
        raise BadFilter(here, "it takes a number or a string")
    return Comparison(field, kind, _value(value, here), (type(value).__name__,))


def _value(value: Any, here: str) -> Value:
    if not isinstance(value, str | int | float | bool):
        raise BadFilter(here, "a value is a string, a number, true or false")
    if isinstance(value, str) and not _encodes(value):
        raise BadFilter(here, "a string has half of a surrogate pair, which no text has")
    if not isinstance(value, str):
        try:
            finite = math.isfinite(float(value))
        except OverflowError:
            finite = False
        if not finite:
            raise BadFilter(here, "a number must be finite, and fit into 64 bits as a float")
    return value


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
