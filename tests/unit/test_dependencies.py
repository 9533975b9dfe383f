"""What routes depend on is awaited in the event loop: FastAPI calls what is not async in a thread, where it waits for
every search under way to let go of the interpreter."""

import inspect
from collections.abc import Iterable, Iterator

import pytest
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from gateway.app import create_app as gateway
from services.evaluation.app import create_app as evaluation
from services.model.app import create_app as model
from services.retrieval.app import create_app as retrieval
from services.tracing.app import create_app as tracing


def below(dependant: Dependant) -> Iterator[Dependant]:
    for one in dependant.dependencies:
        yield one
        yield from below(one)


def routes(found: Iterable[object]) -> Iterator[APIRoute]:
    """The routes of an app; FastAPI keeps included routers whole."""
    for route in found:
        if isinstance(route, APIRoute):
            yield route
        elif router := getattr(route, "original_router", None):
            yield from routes(router.routes)


@pytest.mark.parametrize("app", [gateway(), evaluation(), model(), retrieval(), tracing()], ids=lambda app: app.title)
def test_no_dependency_of_a_route_takes_a_thread(app: FastAPI) -> None:
    calls = {one.call for route in routes(app.routes) for one in below(route.dependant)}
    assert calls
    assert [call for call in calls if not inspect.iscoroutinefunction(call)] == []
