"""Ids in the paths of requests."""

from __future__ import annotations

from starlette.convertors import Convertor, register_url_convertor


def identity(name: str) -> str:
    """The part of a route's path that is an id of any characters, as the parameter of this name.

    Starlette's own `path` stops where a line ends, so that a request for the document `x\\n` would be one for `x`.
    """
    register_url_convertor("identity", _Identity())
    return f"{{{name}:identity}}"


class _Identity(Convertor[str]):
    regex = "(?s:.*)"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value
