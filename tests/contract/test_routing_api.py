"""Routing over HTTP: the real model service and a real gateway before it, on a tiny checkpoint with four experts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch

from services.model.app import create_app
from services.model.settings import ModelSettings
from tests.contract.gateway_support import gateway_before
from tests.contract.model_support import ready
from tests.unit.model.tiny import build, prune, save

NAMES = ["public", "papers", "medicine", "python"]
OTHERS = ["public", "python", "papers"]
"""The experts of another checkpoint, in another order and without medicine's."""
TEXT = "the owner leaves, and 芽 forgets"
TEXTS = {
    "harbour": ["a harbour in the morning", "a lamp in the window"],
    "owners": ["the owner leaves and the model forgets the owner"],
}


def card(names: list[str]) -> str:
    return json.dumps({"experts": [{"id": name, "owner": name if name != "public" else None} for name in names]})


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data folder with the checkpoint that is served and another one beside it."""
    home = tmp_path_factory.mktemp("home")
    served = save(home / "models" / "tiny")
    (served / "candor.json").write_text(card(NAMES))
    other = home / "models" / "early"
    shutil.copytree(served, other)
    build("mixtral", experts=3, seed=4).save_pretrained(other)
    (other / "candor.json").write_text(card(OTHERS))
    shutil.copytree(other, home / "elsewhere")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CANDOR_HOME", str(home))
        yield home


@pytest.fixture(scope="module")
def address(home: Path) -> Iterator[str]:
    settings = ModelSettings(directory=home / "models" / "tiny", dtype="float32", threads=1)
    with ready(create_app(settings)) as address:
        yield address


@pytest.fixture(scope="module")
def model(address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def front(address: str, home: Path) -> Iterator[httpx.Client]:
    """A gateway before the model service."""
    with gateway_before(address, home) as client:
        yield client


def post(client: httpx.Client, path: str, **body: Any) -> dict[str, Any]:
    response = client.post(path, json=body)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def probabilities(tokens: list[int], names: list[str]) -> np.ndarray[Any, Any]:
    """(tokens, layers, kept experts) from a model that has only these experts."""
    pruned = prune("mixtral", build("mixtral"), [NAMES.index(name) for name in names])
    with torch.no_grad():
        logits = pruned(input_ids=torch.tensor([tokens]), output_router_logits=True).router_logits
    return torch.stack([layer.softmax(-1) for layer in logits], dim=1).numpy()


@pytest.mark.parametrize("experts", [[], ["papers"], ["python", "medicine"], ["papers", "medicine", "python"]])
def test_shares_are_those_of_a_model_without_the_other_experts(model: httpx.Client, experts: list[str]) -> None:
    found = post(model, "/v1/routing", text=TEXT, experts=experts, chosen=True)
    names = [name for name in NAMES if name in ("public", *experts)]
    assert found["candor"]["experts"] == names
    truth = probabilities([token["id"] for token in found["tokens"]], names)
    for column, name in enumerate(names):
        assert found["shares"]["experts"][name] == pytest.approx(truth[..., column].mean(), abs=1e-4)
        assert found["by_layer"]["experts"][name] == pytest.approx(truth.mean(0)[:, column], abs=1e-4)
        assert found["by_token"]["experts"][name] == pytest.approx(truth.mean(1)[:, column], abs=1e-4)
    best = np.argsort(-truth, axis=-1)[..., : min(2, len(names))]
    assert found["chosen"] == [[[names[i] for i in slots] for slots in token] for token in best]
    for name in set(NAMES) - set(names):
        assert found["shares"]["experts"][name] == 0
        assert set(found["by_layer"]["experts"][name] + found["by_token"]["experts"][name]) == {0}


def test_shares_sum_to_one_in_every_layer_and_token_and_an_owner_has_its_experts(model: httpx.Client) -> None:
    found = post(model, "/v1/routing", text=TEXT, experts=NAMES)
    assert sum(found["shares"]["experts"].values()) == pytest.approx(1)
    for name in ("by_layer", "by_token"):
        assert np.sum(list(found[name]["experts"].values()), axis=0) == pytest.approx(1, abs=1e-5)
        assert found[name]["owners"] == {owner: found[name]["experts"][owner] for owner in NAMES[1:]}
    assert found["chosen"] is None


def test_the_tokens_spell_the_text_at_their_offsets(model: httpx.Client) -> None:
    found = post(model, "/v1/routing", text=TEXT)
    assert found["text"] == TEXT
    ends = [0]
    for token in found["tokens"]:
        # a token that is a part of a character overlaps its neighbours
        assert ends[-1] - 1 <= token["start"] <= ends[-1] <= token["end"]
        assert token["token"].startswith("bytes:") or TEXT[token["start"] : token["end"]] == token["token"]
        ends.append(token["end"])
    assert ends[-1] == len(TEXT)
    again = post(model, "/v1/routing", tokens=[token["id"] for token in found["tokens"]])
    assert again == found


def test_a_finished_answer_has_the_routing_of_the_positions_that_chose_its_tokens(model: httpx.Client) -> None:
    question, new = [{"role": "user", "content": "the owner leaves"}], [40] * 6
    body = {"model": "candor", "messages": question, "max_tokens": len(new), "logit_bias": {"40": 100}}
    (choice,) = post(model, "/v1/chat/completions", **body, temperature=0, candor={"experts": NAMES})["choices"]
    assert choice["candor"]["tokens"] == len(new)
    prompt = [token["id"] for token in post(model, "/v1/routing", messages=question)["tokens"]]
    found = post(model, "/v1/routing", tokens=prompt + new, experts=NAMES)
    for name, share in choice["candor"]["routing"].items():
        assert np.mean(found["by_token"]["experts"][name][len(prompt) - 1 : -1]) == pytest.approx(share, abs=1e-4)


def test_a_conversation_is_routed_as_the_chat_sees_it_up_to_the_answers_end(model: httpx.Client) -> None:
    turns = [{"role": "user", "content": "the owner"}, {"role": "assistant", "content": " leaves"}]
    found = post(model, "/v1/routing", messages=turns, continue_final_message=True)
    assert found["text"] == "<|user|>the owner</s>\n<|assistant|> leaves"


@pytest.mark.parametrize(
    ("body", "status", "code", "field"),
    [
        ({}, 422, "invalid_request", "text"),
        ({"text": "a", "tokens": [5]}, 422, "invalid_request", "tokens"),
        ({"text": "a", "experts": ["poets"]}, 404, "unknown_expert", "experts"),
        ({"text": ""}, 422, "invalid_request", "text"),
        ({"tokens": []}, 422, "invalid_request", "tokens"),
        ({"tokens": [5] * 641}, 422, "context_length_exceeded", "tokens"),
        ({"tokens": [320]}, 422, "invalid_request", "tokens"),
        ({"text": "a", "continue_final_message": True}, 422, "invalid_request", "continue_final_message"),
        (
            {"messages": [{"role": "user", "content": "a"}], "continue_final_message": True},
            422,
            "invalid_request",
            "continue_final_message",
        ),
        ({"text": "a", "poets": 1}, 422, "invalid_request", "poets"),
        ({"text": "a", "model": "x"}, 404, "model_not_found", "model"),
    ],
)
def test_a_bad_request_is_a_problem_that_names_its_field(
    model: httpx.Client, body: dict[str, Any], status: int, code: str, field: str
) -> None:
    response = model.post("/v1/routing", json=body)
    assert (response.status_code, response.json()["code"], response.json()["field"]) == (status, code, field)


def counted(model: httpx.Client, texts: list[str], experts: list[str]) -> list[tuple[list[int], list[Any]]]:
    """Of each text its tokens and the experts that computed each, by layer."""
    found = [post(model, "/v1/routing", text=text, experts=experts, chosen=True) for text in texts]
    return [([token["id"] for token in one["tokens"]], one["chosen"]) for one in found]


def test_the_analysis_counts_what_routing_reports(model: httpx.Client) -> None:
    experts = ["papers", "python"]
    found = post(model, "/v1/routing/analysis", texts=TEXTS, experts=experts, least=2)
    names = ["public", *experts]
    assert (found["experts"], found["active"], found["uniform"]) == (names, 2, pytest.approx(2 / 3))
    everything = []
    for domain, texts in TEXTS.items():
        tokens = [chosen for _, one in counted(model, texts, experts) for chosen in one]
        everything += tokens
        reported = found["domains"][domain]
        assert (reported["texts"], reported["tokens"]) == (len(texts), len(tokens))
        for layer in range(3):
            taken = [np.mean([name in token[layer] for token in tokens]) for name in names]
            assert reported["specialisation"][layer] == pytest.approx(taken)
            assert sum(reported["shares"][layer]) == pytest.approx(1, abs=1e-5)
    pairs = found["co_activation"]
    for layer in range(3):
        for i, first in enumerate(names):
            own = [token[layer] for token in everything if first in token[layer]]
            assert pairs["tokens"][layer][i] == len(own)
            expected = [np.mean([second in token for token in own]) if own else None for second in names]
            assert pairs["shares"][layer][i] == pytest.approx(expected)


def test_the_vocabulary_is_counted_by_input_next_and_predicted_id_and_the_rare_left_out(model: httpx.Client) -> None:
    found = post(model, "/v1/routing/analysis", texts=TEXTS, experts=NAMES, least=2)["vocabulary"]
    routed = counted(model, [text for texts in TEXTS.values() for text in texts], NAMES)
    ids = {"input": [list(tokens) for tokens, _ in routed], "next": [tokens[1:] for tokens, _ in routed]}
    for kind, sequences in ids.items():
        seen = [
            (token, where[t])
            for tokens, (_, where) in zip(sequences, routed, strict=True)
            for t, token in enumerate(tokens)
        ]
        often = {token for token, _ in seen if sum(token == other for other, _ in seen) >= 2}
        reported = found[kind]
        assert reported["tokens"] == len(seen)
        assert {entry["id"] for entry in reported["entries"]} == often
        assert reported["rare_tokens"] == sum(token not in often for token, _ in seen)
        for entry in reported["entries"]:
            where = [layers for token, layers in seen if token == entry["id"]]
            by_layer = [[np.mean([name in layers[layer] for layers in where]) for name in NAMES] for layer in range(3)]
            assert entry["count"] == len(where)
            assert entry["shares"] == pytest.approx(np.mean(by_layer, axis=0))
            assert entry["specialisation"] == pytest.approx(np.mean([max(shares) for shares in by_layer]))
    counts = [entry["count"] for entry in found["predicted"]["entries"]]
    assert sum(counts) + found["predicted"]["rare_tokens"] == found["predicted"]["tokens"]


def test_saturation_compares_two_checkpoints_expert_by_expert_whatever_their_order(
    model: httpx.Client, home: Path
) -> None:
    found = post(model, "/v1/routing/analysis", texts=TEXTS, experts=NAMES, against="early", least=1)["saturation"]
    assert (found["against"], found["active"]) == ("early", 2)
    other = build("mixtral", experts=3, seed=4)
    overlaps, firsts = [], []
    for tokens, chosen in counted(model, [text for texts in TEXTS.values() for text in texts], NAMES):
        with torch.no_grad():
            logits = other(input_ids=torch.tensor([tokens]), output_router_logits=True).router_logits
        for t, layers in enumerate(chosen):
            early = [[OTHERS[i] for i in logits[layer][t].topk(2).indices.tolist()] for layer in range(3)]
            overlaps.append([len(set(a) & set(b)) / 2 for a, b in zip(early, layers, strict=True)])
            firsts.append([float(a[0] == b[0]) for a, b in zip(early, layers, strict=True)])
    assert found["by_layer"] == pytest.approx(np.mean(overlaps, axis=0))
    assert found["first"] == pytest.approx(np.mean(firsts, axis=0))


def test_a_checkpoint_agrees_with_itself(model: httpx.Client) -> None:
    found = post(model, "/v1/routing/analysis", texts=TEXTS, experts=["papers"], against="tiny")["saturation"]
    assert set(found["by_layer"] + found["first"]) == {1}


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"against": "../elsewhere"}, 422, "against"),
        ({"against": ".."}, 422, "against"),
        ({"against": "elsewhere"}, 404, "against"),
        ({"texts": {}}, 422, "texts"),
        ({"texts": {"a": []}}, 422, "texts.a"),
        ({"texts": {"a": ["x" * 5000]}}, 422, "texts.a.0"),
        ({"texts": {"a": ["x" * 500] * 70}}, 422, "texts"),
        ({"experts": ["poets"]}, 404, "experts"),
    ],
)
def test_a_bad_analysis_is_a_problem_that_names_its_field(
    model: httpx.Client, body: dict[str, Any], status: int, field: str
) -> None:
    response = model.post("/v1/routing/analysis", json={"texts": TEXTS, **body})
    assert (response.status_code, response.json()["field"]) == (status, field), response.text


def test_the_gateway_routes_among_the_experts_of_the_owners_named(front: httpx.Client, model: httpx.Client) -> None:
    found = post(front, "/v1/routing", text=TEXT, owners=["papers", "news"], chosen=True)
    assert found["candor"]["experts"] == ["public", "papers"]
    # news has no expert in this model, and the encyclopedia, which is always on, has none at all
    assert list(found["shares"]["owners"]) == ["papers"]
    alone = post(model, "/v1/routing", text=TEXT, experts=["papers"], chosen=True)
    for name in ("shares", "by_layer", "by_token"):
        assert found[name]["owners"]["papers"] == alone[name]["experts"]["papers"]
        assert found[name]["experts"] == alone[name]["experts"]
    assert (found["tokens"], found["chosen"]) == (alone["tokens"], alone["chosen"])


def test_the_gateway_routes_among_every_owner_by_default_and_conversations_too(front: httpx.Client) -> None:
    found = post(front, "/v1/routing", messages=[{"role": "user", "content": "the owner leaves"}])
    assert found["candor"]["experts"] == NAMES
    assert set(found["by_token"]["owners"]) == set(NAMES[1:])


def test_the_gateway_analyses_with_the_experts_of_the_owners_named(front: httpx.Client, model: httpx.Client) -> None:
    found = post(front, "/v1/routing/analysis", texts=TEXTS, owners=["python"], against="early")
    assert found == post(model, "/v1/routing/analysis", texts=TEXTS, experts=["python"], against="early")


@pytest.mark.parametrize("path", ["/v1/routing", "/v1/routing/analysis"])
def test_the_gateway_passes_on_what_the_model_service_refuses(front: httpx.Client, path: str) -> None:
    long = {"text": "x" * 5000} if path == "/v1/routing" else {"texts": {"a": ["x" * 5000]}}
    response = front.post(path, json=long)
    assert (response.status_code, response.json()["code"]) == (422, "context_length_exceeded")
    assert response.json()["field"] == ("text" if path == "/v1/routing" else "texts.a.0")
