"""The tokens that DC-PDD measures by are those of the model that the run asks."""

import asyncio
import json
from pathlib import Path
from typing import Any

from services.evaluation.endpoint import Endpoint, Reply
from services.evaluation.suites.membership.corpus import Frequencies, corpus

ADDRESS = "http://127.0.0.1:1"


class Tokenizing(Endpoint):
    """Every word is one token, whose number depends on the model."""

    def __init__(self, run: str, first: int) -> None:
        super().__init__(ADDRESS, run=run, api_key=None, timeout=1, patience=1)
        self._first, self.asked = first, 0

    async def post(self, path: str, body: dict[str, Any], *, item: str) -> Reply:
        self.asked += 1
        # as over a network: others have their turn meanwhile
        await asyncio.sleep(0)
        return Reply({"tokens": [self._first + len(word) for word in body["prompt"].split()]}, 1.0)


def write(home: Path, text: str) -> str:
    (home / "texts" / "news").mkdir(parents=True, exist_ok=True)
    row = {"id": "a", "split": "train", "text": text * 60}
    (home / "texts" / "news" / "a.jsonl").write_text(json.dumps(row) + "\n")
    return corpus(home, ("news",))[1]


def test_a_run_counts_the_tokens_of_the_model_that_it_asks_whatever_an_earlier_run_found_there(tmp_path: Path) -> None:
    digest, frequencies = write(tmp_path, "one two "), Frequencies()

    async def both() -> None:
        before, after = Tokenizing("eval-1", 100), Tokenizing("eval-2", 200)
        for endpoint, token in ((before, 103), (after, 203), (before, 103)):
            counts, total = await frequencies.of(tmp_path, ("news",), digest, endpoint, "item")
            assert (dict(counts), total) == ({token: 120}, 120)
        # once for each run
        assert (before.asked, after.asked) == (1, 1)

    asyncio.run(both())


def test_items_that_are_asked_at_the_same_time_count_the_corpus_once(tmp_path: Path) -> None:
    digest, frequencies = write(tmp_path, "one two "), Frequencies()

    async def four() -> None:
        endpoint = Tokenizing("eval-1", 100)
        found = await asyncio.gather(
            *(frequencies.of(tmp_path, ("news",), digest, endpoint, f"item-{number}") for number in range(4))
        )
        assert found == [({103: 120}, 120)] * 4
        assert endpoint.asked == 1

    asyncio.run(four())


def test_a_run_that_is_planned_after_the_texts_have_changed_counts_in_what_is_there(tmp_path: Path) -> None:
    before = write(tmp_path, "one two ")
    after = write(tmp_path, "three four ")
    assert before != after
    counts, _ = asyncio.run(Frequencies().of(tmp_path, ("news",), after, Tokenizing("eval-1", 0), "item"))
    assert dict(counts) == {5: 60, 4: 60}
