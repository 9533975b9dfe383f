"""Leaving an owner out is exact: the answer is that of a stack that never had the owner, its data or its expert."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

OUT = "medicine"
QUESTIONS = [
    "What does the drug methotrexate inhibit?",
    "What is the largest organ of the human body?",
    "Who proposed the theory of evolution by natural selection?",
    "How are default arguments of a Python function evaluated?",
]


@pytest.fixture(scope="module")
def without_medicine(candor_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A stack whose registry, model, datastore and corpora were made without medicine.

    The others' segments of the datastore, of which each is made of one source alone, are copied where they are
    built already, to save the minutes of embedding them again; the build then checks that they are unchanged.
    """
    from gateway.embedded import stack
    from services.model.flexolmo.merge import merge
    from services.model.flexolmo.recipe import EXPERTS, anchor_folder
    from services.retrieval.build import build_all as build_datastores
    from services.tracing.index.build import build_all as build_corpora
    from shared.owners import load_owners
    from shared.settings import owners_file

    home = tmp_path_factory.mktemp("home")
    for model in ("smollm2-135m-instruct", "minilm"):
        shutil.copytree(candor_home / "models" / model, home / "models" / model)
    shutil.copytree(candor_home / "texts", home / "texts", ignore=shutil.ignore_patterns(OUT))
    shutil.copytree(candor_home / "retrieval", home / "retrieval", ignore=shutil.ignore_patterns(OUT))
    registry = yaml.safe_load(owners_file().read_text(encoding="utf-8"))
    registry["owners"] = [owner for owner in registry["owners"] if owner["id"] != OUT]
    (home / "owners.yaml").write_text(yaml.safe_dump(registry), encoding="utf-8")
    owners = load_owners(home / "owners.yaml")
    build_datastores(home, owners, print)
    build_corpora(home, owners, print)
    experts = [EXPERTS / f"{expert}.safetensors" for owner in owners for expert in owner.experts]
    model_folder = merge(anchor_folder(home), experts, home / "models" / "without")

    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("CANDOR_OWNERS", str(home / "owners.yaml"))
        environment.setenv("CANDOR_MODEL_DIRECTORY", str(model_folder))
        with stack(home, state=tmp_path_factory.mktemp("state")) as running:
            assert OUT not in {expert["id"] for expert in get(running.address, "/v1/experts")}
            assert OUT not in {corpus["id"] for corpus in get(running.address, "/v1/corpora")}
            assert OUT not in {owner["id"] for owner in get(running.address, "/v1/owners")}
            yield running.address


@pytest.mark.timeout(1800)
def test_an_answer_without_an_owner_equals_that_of_a_stack_built_without_it(stack: str, without_medicine: str) -> None:
    for question in QUESTIONS:
        for seed in (0, 1):
            masked, masked_numbers = ask(stack, question, seed, {"exclude": [OUT]})
            without, numbers = ask(without_medicine, question, seed, {})
            assert masked == without
            # samples that go on for a final answer are batched as they arrive, and a batch's size decides the last bits
            assert masked_numbers == pytest.approx(numbers, abs=1e-4)
            # the comparison can fail only if the owner does make a difference somewhere
    changed = [ask(stack, question, 0, {})[0] != ask(without_medicine, question, 0, {})[0] for question in QUESTIONS]
    assert any(changed)


def ask(address: str, question: str, seed: int, owners: dict[str, Any]) -> tuple[dict[str, Any], list[float]]:
    """The answer and all that is said of it, but for ids and times, and apart from it the numbers that are measured."""
    request = {
        "model": "candor",
        "messages": [{"role": "user", "content": question}],
        "seed": seed,
        "candor": {
            "owners": owners,
            "retrieval": {"k": 2},
            "sampling": {"samples": 3, "budget": 24},
            "trace": {"max_spans": 10},
            "strict": True,
        },
    }
    response = httpx.post(f"{address}/v1/chat/completions", json=request, timeout=300).raise_for_status().json()
    report = response["candor"]
    numbers = [entry.pop("routing_share") for entry in report["ledger"]]
    numbers += [sample.pop(name) for sample in report["samples"] for name in ("confidence", "votes")]
    answer = {
        "content": response["choices"][0]["message"]["content"],
        "passages": report["passages"],
        "samples": report["samples"],
        "spans": report["trace"]["spans"] if report["trace"] else None,
        "ledger": report["ledger"],
    }
    return answer, numbers


def get(address: str, path: str) -> list[dict[str, Any]]:
    """The data of a list."""
    data: list[dict[str, Any]] = httpx.get(address + path, timeout=60).raise_for_status().json()["data"]
    return data
