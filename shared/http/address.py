"""Fields of Candor's own in the address of a request that reads only its body: refused, like those beside `candor`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import Request
from pydantic import BaseModel

from shared.contracts.misplaced import not_misplaced
from shared.http.errors import InvalidRequest


def nothing_of(options: type[BaseModel]) -> Callable[[Request], Awaitable[None]]:
    """A dependency of a route whose `candor` is of these options; it raises InvalidRequest.

    `?exclude=papers` would be answered with papers in. Other names, as Azure's `api-version`, are ignored.
    """
    check = not_misplaced(options)

    async def refuse(request: Request) -> None:
        for name in request.query_params:
            try:
                check(name)
            except ValueError as error:
                raise InvalidRequest(f"{name} in the address: {error}.", field=name) from error

    return refuse
