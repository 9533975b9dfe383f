"""What many items of a run need and one of them asks."""

import asyncio
from functools import partial

from services.evaluation.endpoint import Endpoint
from services.evaluation.suites.base import BadAnswer
from services.evaluation.suites.once import Once


def test_what_is_asked_once_is_asked_once_a_run_and_again_after_a_failure() -> None:
    calls: list[str] = []

    async def ask() -> list[str | BaseException]:
        once = Once[str]()

        async def found(name: str) -> str:
            calls.append(name)
            number = len(calls)
            await asyncio.sleep(0.01)
            if number == 1:
                raise BadAnswer("the first time")
            return f"{name} {number}"

        here, there = (Endpoint("http://127.0.0.1:1", run=run, api_key=None, timeout=1, patience=0) for run in "ab")
        async with here, there:
            asked = [(here, "x"), (here, "x"), (here, "x"), (there, "x"), (here, "y"), (here, "y")]
            gets = (once.get(endpoint, name, partial(found, name)) for endpoint, name in asked)
            return await asyncio.gather(*gets, return_exceptions=True)

    failed, *rest = asyncio.run(ask())
    assert isinstance(failed, BadAnswer)
    assert len({*map(str, rest)}) == 3
    assert (str(rest[0]), str(rest[3])) == (str(rest[1]), str(rest[4]))
    assert sorted(calls) == ["x", "x", "x", "y"]
