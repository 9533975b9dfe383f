"""Parameters in the address that a route does not have: refused, as unknown fields of a body are."""

from __future__ import annotations

from fastapi import Depends, Request
from fastapi.dependencies.utils import get_flat_params
from fastapi.params import Query

from shared.http.errors import InvalidRequest


async def _only_known(request: Request) -> None:
    """`?exclude=papers` would be answered with papers in."""
    fields = get_flat_params(request.scope["route"].dependant)
    known = [field.alias for field in fields if isinstance(field.field_info, Query)]
    for name in request.query_params:
        if name not in known:
            there = f"This address has {', '.join(known)}" if known else "This address has none"
            raise InvalidRequest(f"There is no parameter {name!r} here. {there}.", field=name)


ONLY_KNOWN_PARAMETERS = Depends(_only_known)
"""For the `dependencies` of a route, or of a router. It raises InvalidRequest. Not for OpenAI's routes, whose clients
send parameters such as Azure's `api-version`."""
