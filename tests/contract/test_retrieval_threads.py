"""A search in progress holds up neither the event loop nor, without end, the queue."""

import asyncio
import threading

import httpx
import pytest

from services.retrieval.app import create_app
from services.retrieval.settings import RetrievalSettings
from services.retrieval.workers import Workers
from shared.contracts.retrieval import SearchRequest, SearchResponse
from shared.http.errors import Overloaded


class SlowService:
    """A search that ends when the test says so."""

    def __init__(self) -> None:
        self.release = threading.Event()

    def search(self, request: SearchRequest) -> SearchResponse:
        self.release.wait()
        return SearchResponse(datastore="main", index=request.index, owners=[], results=[[]], timings={})


@pytest.mark.parametrize("searches", [1, 3])
def test_the_service_answers_while_searches_run_and_refuses_what_its_queue_cannot_hold(searches: int) -> None:
    async def scenario() -> None:
        app = create_app(RetrievalSettings(threads=1, queue=2))
        app.state.workers, app.state.service, app.state.assistant = Workers(1, 2), SlowService(), None
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://retrieval") as client:
            running = [asyncio.create_task(client.post("/v1/search", json={"query": "x"})) for _ in range(searches)]
            while app.state.workers.unfinished < searches:  # noqa: ASYNC110 (no event tells that a call was queued)
                await asyncio.sleep(0.01)
            assert (await client.get("/livez")).status_code == 200
            if searches == 3:
                refused = await client.post("/v1/search", json={"query": "x"})
                assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
            app.state.service.release.set()
            assert [(await search).status_code for search in running] == [200] * searches
            assert (await client.post("/v1/search", json={"query": "x"})).status_code == 200

    asyncio.run(scenario())


def test_an_error_in_a_thread_is_the_callers_and_frees_its_place() -> None:
    async def scenario() -> None:
        workers = Workers(1, 1)
        for _ in range(5):
            with pytest.raises(ZeroDivisionError):
                await workers.run(lambda: 1 // 0)
        assert workers.unfinished == 0
        blocked = threading.Event()
        calls = [asyncio.create_task(workers.run(blocked.wait)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await workers.run(blocked.wait)
        blocked.set()
        assert await asyncio.gather(*calls) == [True, True]

    asyncio.run(scenario())
