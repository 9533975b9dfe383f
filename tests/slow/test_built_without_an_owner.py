"""Leaving an owner out is exact: the answer is that of a stack that never had the owner's data."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

QUESTIONS = [
    "What does the drug methotrexate inhibit?",
    "What is the largest organ of the human body?",
    "Who proposed the theory of evolution by natural selection?",
    "How are default arguments of a Python function evaluated?",
]


@pytest.fixture(scope="module")
def without_medicine(candor_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A stack whose model, datastore and corpora were built from texts and experts without medicine's."""
    from gateway.embedded import stack
    from services.model.flexolmo.merge import EXPERTS, merge
    from services.retrieval.build import build_all as build_datastores
    from services.tracing.build import build_all as build_corpora
    from shared.owners import load_owners

    home = tmp_path_factory.mktemp("home")
    for part in ("smollm2-135m-instruct", "minilm"):
        shutil.copytree(candor_home / "models" / part, home / "models" / part)
    shutil.copytree(candor_home / "texts", home / "texts", ignore=shutil.ignore_patterns("medicine"))
    shutil.copy(candor_home / "sources.json", home / "sources.json")
    owners = [owner for owner in load_owners() if owner.id != "medicine"]
    anchor = home / "models" / "smollm2-135m-instruct"
    merge(anchor, [EXPERTS / f"{expert}.safetensors" for expert in ("papers", "python")], home / "models/candor-135m")
    build_datastores(home, owners)
    build_corpora(home, owners)
    with stack(home, state=tmp_path_factory.mktemp("state")) as running:
        yield running.address


@pytest.mark.timeout(1500)
def test_an_answer_without_an_owner_equals_that_of_a_stack_built_without_it(stack: str, without_medicine: str) -> None:
    for question in QUESTIONS:
        for seed in (0, 1):
            with_mask, built_without = (ask(address, question, seed) for address in (stack, without_medicine))
            assert with_mask == built_without


def ask(address: str, question: str, seed: int) -> dict[str, Any]:
    """The answer and all that is said of it, but for ids and times."""
    request = {
        "model": "candor",
        "messages": [{"role": "user", "content": question}],
        "seed": seed,
        "candor": {"owners": {"exclude": ["medicine"]}, "sampling": {"samples": 3, "budget": 24}, "strict": True},
    }
    answer = httpx.post(f"{address}/v1/chat/completions", json=request, timeout=300).raise_for_status().json()
    report = answer["candor"]
    return {
        "content": answer["choices"][0]["message"]["content"],
        "passages": report["passages"],
        "samples": report["samples"],
        "spans": report["trace"]["spans"],
        "ledger": report["ledger"],
    }
