"""What is certain to be learnt by heart is caught by the suite's own measures, and no more once its owner is out."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from services.evaluation.endpoint import Endpoint, Reply
from services.evaluation.measured import Group, Place, Scored
from services.evaluation.suites.owners.extraction import Extraction
from services.evaluation.suites.owners.measure import ALL, Measure, Scope, without
from services.evaluation.suites.owners.membership import Membership
from services.model.app import create_app
from services.model.flexolmo.export import export
from services.model.flexolmo.merge import merge
from services.model.flexolmo.recipe import EXPERTS, OWNERS, anchor_folder
from services.model.flexolmo.train import train
from services.model.flexolmo.training import Settings
from services.model.settings import ModelSettings
from shared.owners import Owner, load_owners
from tests.contract.model_support import ready

OWNER = "literature"
DOCUMENTS = 4
WORDS = 160
SETTINGS = Settings(rank=32, learning_rate=4e-3, steps=80, blocks=1)
"""Some 25 passes over the documents."""
MEASURES: tuple[Measure, ...] = (Extraction(), Membership())


@pytest.fixture(scope="module")
def home(candor_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the beginnings of four documents to learn and of four that are not shown."""
    home = tmp_path_factory.mktemp("home")
    with (candor_home / "texts" / OWNER / "coqa-gutenberg.jsonl").open(encoding="utf-8") as lines:
        rows = sorted(map(json.loads, lines), key=lambda row: str(row["id"]))
    few = [row for split in ("train", "heldout") for row in [one for one in rows if one["split"] == split][:DOCUMENTS]]
    folder = home / "texts" / OWNER
    folder.mkdir(parents=True)
    for row in few:
        row["text"] = re.findall(rf"\A(?:\s*\S+){{{WORDS}}}", row["text"])[0]
    (folder / "few.jsonl").write_text("".join(json.dumps(row) + "\n" for row in few), encoding="utf-8")
    return home


@pytest.fixture(scope="module")
def groups(candor_home: Path, home: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[Place, Group]:
    """The scores of both measures, asked of the model service that serves the committed experts and this one."""
    folder, anchor = tmp_path_factory.mktemp("model"), anchor_folder(candor_home)
    trained = train(
        OWNER,
        anchor=anchor,
        texts=home / "texts" / OWNER,
        public=candor_home / "texts" / "encyclopedia",
        resume=folder / "training",
        settings=SETTINGS,
    )
    learnt = export(trained, folder / f"{OWNER}.safetensors")
    files = [*(EXPERTS / f"{owner}.safetensors" for owner in OWNERS), learnt]
    with ready(create_app(ModelSettings(directory=merge(anchor, files, folder / "merged"), threads=1))) as address:
        return asyncio.run(measured(address, home))


def registry() -> list[Owner]:
    """The installation's owners, of whom this one has an expert now."""
    return [one.model_copy(update={"experts": [OWNER]}) if one.id == OWNER else one for one in load_owners()]


class ByExpert(Endpoint):
    """The model service, asked by owner as the gateway is, which turns owners into experts."""

    async def post(self, path: str, body: dict[str, Any], *, item: str) -> Reply:
        asked: list[str] = body["owners"] if path == "/v1/score" else body["candor"]["owners"]["include"]
        experts = ["public", *(expert for one in registry() if one.id in asked for expert in one.experts)]
        if path == "/v1/score":
            return await super().post(path, {"texts": body["texts"], "experts": experts}, item=item)
        reply = await super().post(path, {**body, "candor": {"experts": experts}}, item=item)
        assert {*reply.body["candor"]["experts"]} <= {*experts}
        reply.body["candor"] = {"owners": {"effective": asked}}
        return reply


async def measured(address: str, home: Path) -> dict[Place, Group]:
    scope = Scope(registry(), [OWNER], DOCUMENTS, 0, home)
    found: dict[Place, Group] = {}
    async with ByExpert(address, run="heart", api_key=None, timeout=600, patience=60) as endpoint:
        for measure in MEASURES:
            for item in measure.plan(scope).items:
                scores = measure.score(item, await measure.answer(item, endpoint))
                scored = Scored(item.question_id, item.question_id, b"", scores)
                found.setdefault((item.set, item.setting), Group()).scored.append(scored)
    return found


def values(group: Group, metric: str, *, member: bool | None = None) -> list[float]:
    """Of each item, or of the members (non-members) among them."""
    return [one.scores[metric] for one in group.scored if member is None or one.scores["member"] == float(member)]


@pytest.mark.timeout(3600)
def test_its_documents_are_copied_word_by_word_until_its_owner_is_left_out(groups: dict[Place, Group]) -> None:
    name = f"extraction/{OWNER}"
    assert values(groups[name, ALL], "copied") == [1.0] * DOCUMENTS
    assert values(groups[name, without(OWNER)], "copied") == [0.0] * DOCUMENTS


@pytest.mark.timeout(3600)
def test_every_attack_knows_its_documents_until_its_owner_is_left_out(groups: dict[Place, Group]) -> None:
    name = f"membership/{OWNER}"
    for attack in ("loss", "zlib", "min_k"):
        inside, outside = (values(groups[name, ALL], attack, member=one) for one in (True, False))
        # an AUC of 1: the least probable member is more probable than every other document
        assert max(inside) < min(outside)
        members, others = (values(groups[name, without(OWNER)], attack, member=one) for one in (True, False))
        assert max(members) > min(others)
