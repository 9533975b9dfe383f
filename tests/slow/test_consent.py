"""Consent under load: whatever the settings, an owner left out is in no part of an answer."""

import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

OWNERS = ["papers", "medicine", "python", "news", "literature", "textbooks"]
QUESTIONS = [
    "What does the drug methotrexate inhibit?",
    "What does the paper use as a baseline for sentiment classification?",
    "How are default arguments of a Python function evaluated?",
    "What happened to the soldiers in Afghanistan?",
    "Who was Archie sent to search for?",
    "Who proposed the theory of evolution by natural selection?",
    "How many boroughs does New York City have?",
]
REQUESTS = 200


@pytest.mark.timeout(1800)
def test_in_200_requests_of_mixed_settings_no_owner_left_out_takes_part(stack: str) -> None:
    draw = random.Random(20261123)
    requests = [mixed_request(draw) for _ in range(REQUESTS)]
    with httpx.Client(base_url=stack, timeout=600) as client, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda request: client.post("/v1/chat/completions", json=request), requests))

    assert [answer.status_code for answer in answers] == [200] * REQUESTS
    shown: set[str] = set()
    for request, answer in zip(requests, answers, strict=True):
        out = set(request["candor"]["owners"]["exclude"])
        took_part = participants(answer.json()["candor"])
        assert not took_part & out, (request, took_part & out)
        shown |= took_part
    # the test can only fail if the owners do take part where they may
    assert shown >= {"encyclopedia", *OWNERS}


def mixed_request(draw: random.Random) -> dict[str, Any]:
    """A request with any set of owners left out and any mix of stages."""
    return {
        "model": "candor",
        "messages": [{"role": "user", "content": draw.choice(QUESTIONS)}],
        "seed": draw.randrange(1000),
        "candor": {
            "owners": {"exclude": draw.sample(OWNERS, draw.randrange(len(OWNERS) + 1))},
            "retrieval": draw.choice([False, *({"index": index, "k": 2} for index in ("compactds", "bm25", "hybrid"))]),
            "sampling": {
                "samples": draw.choice([1, 2, 3]),
                "budget": draw.choice([6, 12]),
                "aggregate": draw.choice(["confidence", "majority", "first"]),
                "mode": draw.choice(["no_thinking", "plain"]),
            },
            "trace": {"documents": 20, "max_spans": 20},
            "strict": True,
        },
    }


def participants(report: dict[str, Any]) -> set[str]:
    """Every owner that any part of an answer names as taking part."""
    passages = {passage["owner"] for passage in report["passages"]}
    spans = {document["owner"] for span in report["trace"]["spans"] for document in span["documents"]}
    ledger = {
        entry["owner"]
        for entry in report["ledger"]
        if entry["routing_share"] > 0 or entry["passages"] or entry["traced_characters"]
    }
    return passages | spans | ledger
