"""Experts added to and removed from a running model service: as if merged so, and still so after a restart."""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch.nn.functional import pad

from services.model.app import create_app
from services.model.engines.places import Places
from services.model.flexolmo.expert import content_hash
from services.model.flexolmo.merge import merge
from services.model.settings import ModelSettings
from shared.clients.base import ServiceError
from shared.clients.model import ModelClient
from tests.contract.gateway_support import serving
from tests.unit.flexolmo.conftest import make_anchor
from tests.unit.flexolmo.making import make_expert

TEXT = "the tide turns and the boats go home"
MASKS = [["harbour"], ["bakery"], ["harbour", "bakery"], []]


@pytest.fixture(scope="module")
def anchor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_anchor(tmp_path_factory.mktemp("anchor"), seed=0)


@pytest.fixture(scope="module")
def files(anchor: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three owners' experts, a second one of the baker's, and one for another anchor."""
    folder = tmp_path_factory.mktemp("files")
    found = {
        owner: make_expert(anchor, owner, folder / f"{owner}.safetensors", seed)
        for seed, owner in enumerate(("harbour", "bakery", "park"))
    }
    other = make_anchor(tmp_path_factory.mktemp("other"), seed=1)
    return found | {
        "better": make_expert(anchor, "bakery", folder / "better.safetensors", 7),
        "foreign": make_expert(other, "park", folder / "foreign.safetensors", 2),
    }


@pytest.fixture(scope="module")
def checkpoint(anchor: Path, files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return merge(anchor, [files["harbour"], files["bakery"]], tmp_path_factory.mktemp("merged") / "m")


@contextmanager
def service(checkpoint: Path, folder: Path, **settings: Any) -> Iterator[httpx.Client]:
    """A model service that is ready; its experts' changes are kept in `folder`."""
    app = create_app(ModelSettings(directory=checkpoint, experts=folder, threads=1, **settings))
    with serving(app) as address, httpx.Client(base_url=address, timeout=60) as client:
        for _ in range(600):
            if client.get("/readyz").status_code == 200:
                break
            time.sleep(0.05)
        assert client.get("/readyz").status_code == 200, client.get("/readyz").text
        yield client


def names(client: httpx.Client) -> list[str]:
    return [expert["id"] for expert in client.get("/v1/experts").json()["data"]]


def scores(client: httpx.Client, *masks: list[str]) -> list[dict[str, Any]]:
    """Per-token statistics under each mask, without the shares, which name every expert there is."""
    found = []
    for mask in masks:
        answer = client.post("/v1/score", json={"texts": [TEXT], "experts": mask})
        assert answer.status_code == 200, answer.text
        found.append({name: value for name, value in answer.json()["data"][0].items() if name != "routing"})
    return found


def put(client: httpx.Client, owner: str, file: Path) -> httpx.Response:
    return client.put(f"/v1/experts/{owner}", content=file.read_bytes())


def merged(anchor: Path, files: list[Path], into: Path, *masks: list[str]) -> list[dict[str, Any]]:
    """What a service says of a model that was merged from these."""
    with service(merge(anchor, files, into / "merged"), into / "none") as client:
        return scores(client, *masks)


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_an_expert_that_is_put_computes_as_if_it_had_been_merged(
    *, anchor: Path, checkpoint: Path, files: dict[str, Path], tmp_path: Path, dtype: str
) -> None:
    masks = [*MASKS, ["park"], ["harbour", "bakery", "park"]]
    three = merge(anchor, [files[owner] for owner in ("harbour", "bakery", "park")], tmp_path / "three")
    with service(three, tmp_path / "none", dtype=dtype) as client:
        expected = scores(client, *masks)
    with service(checkpoint, tmp_path / "experts", dtype=dtype) as client:
        before = scores(client, *MASKS)
        answer = put(client, "park", files["park"])
        assert (answer.status_code, answer.json()) == (
            201,
            {
                "id": "park",
                "index": 3,
                "owner": "park",
                "public": False,
                "licence": "CC0-1.0",
                "trained_tokens": 10_240,
            },
        )
        assert names(client) == ["public", "harbour", "bakery", "park"]
        assert scores(client, *masks) == expected
        assert scores(client, *MASKS) == before


def test_an_expert_that_is_deleted_is_gone_as_if_it_had_not_been_merged(
    anchor: Path, checkpoint: Path, files: dict[str, Path], tmp_path: Path
) -> None:
    expected = merged(anchor, [files["bakery"]], tmp_path, ["bakery"], [])
    with service(checkpoint, tmp_path / "experts") as client:
        answer = client.delete("/v1/experts/harbour")
        assert (answer.status_code, answer.content) == (204, b"")
        assert names(client) == ["public", "bakery"]
        assert scores(client, ["bakery"], []) == expected
        named = {"experts": ["harbour", "bakery"]}
        for path, body in (
            ("chat/completions", {"messages": [{"role": "user", "content": "a"}], "candor": named}),
            ("completions", {"prompt": "a", "candor": named}),
            ("score", {"texts": ["a"]} | named),
        ):
            refused = client.post(f"/v1/{path}", json=body | {"model": "candor"})
            error = refused.json().get("error", refused.json())
            assert (refused.status_code, error["code"]) == (404, "unknown_expert")
        again = client.delete("/v1/experts/harbour")
        assert (again.status_code, again.json()["code"], again.json()["field"]) == (404, "unknown_expert", "owner")


def test_a_second_put_takes_the_place_of_the_first(
    anchor: Path, checkpoint: Path, files: dict[str, Path], tmp_path: Path
) -> None:
    expected = merged(anchor, [files["harbour"], files["better"]], tmp_path, *MASKS)
    with service(checkpoint, tmp_path / "experts") as client:
        answer = put(client, "bakery", files["better"])
        assert (answer.status_code, answer.json()["index"]) == (200, 3)
        assert names(client) == ["public", "harbour", "bakery"]
        assert scores(client, *MASKS) == expected


def test_changes_outlive_the_process(checkpoint: Path, files: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "experts"
    with service(checkpoint, folder) as client:
        put(client, "park", files["park"])
        put(client, "bakery", files["better"])
        client.delete("/v1/experts/harbour")
        expected = scores(client, ["park"], ["bakery", "park"], [])
    assert sorted(file.name for file in folder.iterdir()) == [
        "bakery.safetensors",
        "harbour.removed",
        "park.safetensors",
    ]
    with service(checkpoint, folder) as client:
        assert names(client) == ["public", "bakery", "park"]
        # they stand in another order now, in which the router's softmax rounds otherwise
        for found, before in zip(scores(client, ["park"], ["bakery", "park"], []), expected, strict=True):
            assert found["logprobs"] == pytest.approx(before["logprobs"], abs=1e-4)
        client.delete("/v1/experts/park")
        put(client, "harbour", files["harbour"])
    assert sorted(file.name for file in folder.iterdir()) == [
        "bakery.safetensors",
        "harbour.safetensors",
        "park.removed",
    ]
    with service(checkpoint, folder) as client:
        assert names(client) == ["public", "bakery", "harbour"]


def test_a_process_killed_in_mid_change_leaves_an_owner_out_rather_than_in(
    checkpoint: Path, files: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "park.removed").touch()
    shutil.copy(files["park"], tmp_path / "park.safetensors")
    (tmp_path / ".0123.part").write_bytes(b"half")
    with service(checkpoint, tmp_path) as client:
        assert names(client) == ["public", "harbour", "bakery"]
    assert [file.name for file in tmp_path.iterdir()] == ["park.removed"]


def test_an_expert_that_no_longer_fits_stays_out_and_the_service_says_so(
    checkpoint: Path, files: dict[str, Path], tmp_path: Path
) -> None:
    shutil.copy(files["foreign"], tmp_path / "park.safetensors")
    shutil.copy(files["park"], tmp_path / "bakery.safetensors")
    with service(checkpoint, tmp_path) as client:
        # the baker's own was to be replaced: it does not come back because what replaced it is broken
        assert names(client) == ["public", "harbour"]
        first, second = client.get("/readyz").json()["warnings"]
    assert "bakery" in first
    assert "another anchor" in second


def test_an_expert_for_which_there_is_no_memory_stays_out_and_the_others_are_served(
    checkpoint: Path, files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def allocate(*_: Any) -> int:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp] can't allocate memory")

    shutil.copy(files["park"], tmp_path / "park.safetensors")
    monkeypatch.setattr(Places, "append", allocate)
    with service(checkpoint, tmp_path) as client:
        assert names(client) == ["public", "harbour", "bakery"]
        assert "allocate memory" in client.get("/readyz").json()["warnings"][0]


def test_an_owner_whose_expert_stays_out_can_withdraw_it_for_good(
    checkpoint: Path, files: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "experts"
    folder.mkdir()
    shutil.copy(files["park"], folder / "park.safetensors")
    elsewhere = merge(make_anchor(tmp_path / "other", seed=1), [], tmp_path / "elsewhere")
    with service(elsewhere, folder) as client:
        assert names(client) == ["public"]
        assert client.delete("/v1/experts/park").status_code == 204
        assert client.delete("/v1/experts/park").status_code == 404
    assert [file.name for file in folder.iterdir()] == ["park.removed"]
    with service(checkpoint, folder) as client:
        assert names(client) == ["public", "harbour", "bakery"]


def test_a_folder_that_cannot_be_read_keeps_the_service_down(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "experts").touch()
    app = create_app(ModelSettings(directory=checkpoint, experts=tmp_path / "experts", threads=1))
    with serving(app) as address:
        for _ in range(600):
            if (phase := httpx.get(f"{address}/readyz").json()["phase"]).startswith("failed"):
                break
            time.sleep(0.05)
        assert "Not a directory" in phase


Tensors = dict[str, torch.Tensor]


def changed(file: Path, folder: Path, change: Callable[[Tensors], Tensors]) -> bytes:
    """An expert's file of other tensors, which says of itself what is so."""
    with safe_open(file, framework="pt") as stored:
        metadata = stored.metadata()
    tensors = change(load_file(file))
    layers = len({name.split(".")[1] for name in tensors})
    metadata |= {"layers": str(layers), "base": json.dumps([0] * layers)}
    save_file(tensors, folder / "changed", metadata | {"sha256": content_hash(metadata, tensors)})
    return (folder / "changed").read_bytes()


def not_finite(tensors: Tensors) -> Tensors:
    tensors["layers.0.gate.a"][0, 0] = float("nan")
    return tensors


def without_a_router(tensors: Tensors) -> Tensors:
    return {name: tensor for name, tensor in tensors.items() if name != "layers.1.router"}


def shorter(tensors: Tensors) -> Tensors:
    return {name: tensor for name, tensor in tensors.items() if not name.startswith("layers.2.")}


def wider(tensors: Tensors) -> Tensors:
    """With 8 more hidden states inside the FFN."""
    outputs = {n: pad(t, (0, 0, 0, 8)) for n, t in tensors.items() if n.endswith(("gate.b", "up.b"))}
    return tensors | outputs | {n: pad(t, (0, 8)) for n, t in tensors.items() if n.endswith("down.a")}


def narrower(tensors: Tensors) -> Tensors:
    """Without 8 of the hidden states that the FFN reads."""
    inputs = {n: t[..., :-8].contiguous() for n, t in tensors.items() if n.endswith(("gate.a", "up.a", "router"))}
    return tensors | inputs | {n: t[:-8].contiguous() for n, t in tensors.items() if n.endswith("down.b")}


def test_what_cannot_join_is_refused_and_changes_nothing(
    checkpoint: Path, files: dict[str, Path], tmp_path: Path
) -> None:
    folder, whole = tmp_path / "experts", files["park"].read_bytes()
    header = int.from_bytes(whole[:8], "little")
    metadata = json.loads(whole[8 : 8 + header])
    metadata["__metadata__"]["card"] = "no JSON"
    odd = json.dumps(metadata).encode()
    with service(checkpoint, folder, max_expert_megabytes=1) as client:
        before = scores(client, *MASKS)
        for owner, body, status, code, said in (
            ("park", whole[:-100], 422, "broken_expert", "not a whole safetensors file"),
            ("park", b"", 422, "broken_expert", "not a whole safetensors file"),
            (
                "park",
                len(odd).to_bytes(8, "little") + odd + whole[8 + header :],
                422,
                "broken_expert",
                "says something of itself",
            ),
            (
                "park",
                changed(files["park"], tmp_path, not_finite),
                422,
                "broken_expert",
                "is refused: layers.0.gate.a h",
            ),
            (
                "park",
                changed(files["park"], tmp_path, without_a_router),
                422,
                "broken_expert",
                "it lacks layers.1.router",
            ),
            (
                "park",
                changed(files["park"], tmp_path, wider),
                422,
                "broken_expert",
                "FFN width 104, the served model 96",
            ),
            ("park", changed(files["park"], tmp_path, shorter), 422, "broken_expert", "layers 2, the served model 3"),
            (
                "park",
                changed(files["park"], tmp_path, narrower),
                422,
                "broken_expert",
                "hidden size 40, the served mod",
            ),
            ("park", files["foreign"].read_bytes(), 422, "wrong_anchor", "another anchor"),
            ("garden", whole, 422, "expert_of_another", "'park'"),
            ("public", whole, 403, "public_expert", "public"),
            ("Park!", whole, 422, "invalid_request", "owner"),
            ("park", whole + bytes(1 << 20), 413, "too_large", "1,048,576"),
        ):
            answer = client.put(f"/v1/experts/{owner}", content=body)
            assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
            detail = answer.json()["detail"]
            assert said in detail
            assert str(tmp_path) not in detail
            # one sentence, which does not name its subject twice
            assert detail.endswith(".")
            assert not detail.endswith("..")
            assert detail.lower().count("the file") <= 1
        unstated = client.put("/v1/experts/park", content=iter([whole, bytes(1 << 20)]))
        assert (unstated.status_code, unstated.json()["code"]) == (413, "too_large")
        assert client.delete("/v1/experts/public").status_code == 403
        assert names(client) == ["public", "harbour", "bakery"]
        assert scores(client, *MASKS) == before
        assert not [*folder.iterdir()]


def test_where_nothing_can_be_kept_nothing_is_changed(checkpoint: Path, files: dict[str, Path], tmp_path: Path) -> None:
    with service(checkpoint, tmp_path / "experts") as client:
        (tmp_path / "experts").touch()
        for answer in (put(client, "park", files["park"]), client.delete("/v1/experts/harbour")):
            assert (answer.status_code, answer.json()["code"]) == (503, "experts_unwritable")
            assert "CANDOR_MODEL_EXPERTS" in answer.json()["detail"]
        assert names(client) == ["public", "harbour", "bakery"]


LONG = {"model": "candor", "prompt": "the tide", "max_tokens": 110, "temperature": 0, "logit_bias": {"0": -100}}


def lines(client: httpx.Client, mask: list[str], begun: threading.Event) -> list[dict[str, Any]]:
    """The events of a long stream."""
    events = []
    with client.stream("POST", "/v1/completions", json=LONG | {"stream": True, "candor": {"experts": mask}}) as answer:
        assert answer.status_code == 200
        for line in answer.iter_lines():
            if line.startswith("data: {"):
                events.append(json.loads(line.removeprefix("data: ")))
                begun.set()
    return events


def text(events: list[dict[str, Any]]) -> str:
    return "".join(choice["text"] for event in events for choice in event["choices"])


def test_answers_under_way_are_what_they_would_have_been_while_experts_come_and_go(
    checkpoint: Path, files: dict[str, Path], tmp_path: Path
) -> None:
    # in bfloat16 the last bits depend on who else is in the batch, and which of two tokens all but equal comes first
    with service(checkpoint, tmp_path, dtype="float32") as client:
        masks = [["harbour"], ["bakery"], ["harbour", "bakery"], []]
        alone = [text(lines(client, mask, threading.Event())) for mask in masks]
        begun = [threading.Event() for _ in masks]
        with ThreadPoolExecutor() as pool:
            running = [pool.submit(lines, client, mask, event) for mask, event in zip(masks, begun, strict=True)]
            assert all(event.wait(120) for event in begun)
            assert client.delete("/v1/experts/harbour").status_code == 204
            assert put(client, "park", files["park"]).status_code == 201
            assert [text(one.result()) for one in running] == alone


def test_an_answer_that_outlasts_the_removal_of_its_expert_ends_with_a_clear_error(
    checkpoint: Path, tmp_path: Path
) -> None:
    with service(checkpoint, tmp_path, removal_seconds=0) as client, ThreadPoolExecutor() as pool:
        begun = threading.Event()
        running = pool.submit(lines, client, ["harbour"], begun)
        assert begun.wait(120)
        assert client.delete("/v1/experts/harbour").status_code == 204
        last = running.result()[-1]
        assert last["error"]["code"] == "unknown_expert"
        assert "removed" in last["error"]["message"]


def test_the_client_puts_and_deletes(checkpoint: Path, files: dict[str, Path], tmp_path: Path) -> None:
    async def use(address: str) -> None:
        client = ModelClient(address)
        assert (await client.put_expert("park", files["park"])).id == "park"
        await client.delete_expert("park")
        with pytest.raises(ServiceError) as refused:
            await client.delete_expert("park")
        assert (refused.value.status, refused.value.code) == (404, "unknown_expert")
        await client.close()

    with service(checkpoint, tmp_path) as running:
        asyncio.run(use(str(running.base_url)))
