"""An endpoint that knows every answer and is put in order after each test: pytest fixtures to import."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.evaluation_support import Oracle, oracle


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Oracle]:
    with oracle() as running:
        yield running


@pytest.fixture(autouse=True)
def orderly(endpoint: Oracle) -> Iterator[None]:
    yield
    endpoint.delay, endpoint.broken, endpoint.garbage, endpoint.instead = 0.0, set(), False, None
