"""The example of docs/evaluation-plugins.md, installed as a package and run by the real service."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.endpoint_support import Body, endpoint, write_set
from tests.contract.evaluation_support import Service, serving

ROOT = Path(__file__).parents[2]
CAPITALS = {"France": "Paris", "Italy": "Rome", "Peru": "Lima"}


def example() -> str:
    """The suite as the page has it."""
    page = (ROOT / "docs/evaluation-plugins.md").read_text(encoding="utf-8")
    found = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    assert found
    return found[1]


def install(site: Path, module: str, code: str, *points: str) -> None:
    """As pip would: a module, and a dist-info with its entry points."""
    site.mkdir(exist_ok=True)
    (site / f"{module}.py").write_text(code, encoding="utf-8")
    info = site / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[candor.suites]\n" + "\n".join(points) + "\n")


def reply(path: str, body: Body) -> tuple[int, Body]:
    if path != "/v1/chat/completions":
        return 404, {}
    question = body["messages"][-1]["content"]
    known = body["candor"]["retrieval"] is not False
    text = next(city for country, city in CAPITALS.items() if country in question) if known else "I do not know."
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return 200, {"choices": [choice], "usage": {"completion_tokens": 1}, "candor": {"passages": []}}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    home, site = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("site")
    write_set(
        home, "capitals", [{"question": f"The capital of {one}?", "answer": city} for one, city in CAPITALS.items()]
    )
    install(site, "capitals", example(), "capitals = capitals:Capitals")
    install(site, "broken", "import nothing_of_this_name", "broken = broken:Suite")
    install(site, "partial", "class Suite: id = 'partial'", "partial = partial:Suite")
    install(
        site,
        "impostor",
        "from services.evaluation.suites.rag_qa import RagQa\nclass Suite(RagQa): title = 'not ours'",
        "impostor = impostor:Suite",
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PYTHONPATH", os.pathsep.join([str(site), str(ROOT)]))
        with endpoint(reply) as url, serving(home, url) as running:
            yield running


def test_the_example_is_thirty_lines() -> None:
    assert len([line for line in example().splitlines() if line.strip()]) <= 30


def test_a_suite_of_an_installed_package_is_listed_and_a_faulty_one_is_not(service: Service) -> None:
    suites: dict[str, dict[str, Any]] = {one["id"]: one for one in service.http.get("/v1/suites").json()["data"]}
    assert suites["capitals"]["options"]["properties"]["set"]["default"] == "capitals"
    assert not {"broken", "partial"} & set(suites)
    assert suites["rag-qa"]["title"] != "not ours"


def test_a_suite_of_an_installed_package_runs_and_is_reported(service: Service) -> None:
    run = service.wait(service.create(suite="capitals", limit=3)["id"])
    assert (run["status"], run["progress"]) == ("succeeded", {"done": 6, "total": 6, "failed": 0})
    assert run["versions"]["suite"] == "capitals/1"
    report = service.http.get(f"/v1/evaluations/{run['id']}/report").json()
    assert {cell["setting"]: cell["scores"]["right"]["mean"] for cell in report["cells"]} == {
        "closed_book": 0,
        "rag": 1,
    }
    assert [(one["setting"], one["difference"]["mean"], one["p"]) for one in report["comparisons"]] == [
        ("rag", 1, 0.25)
    ]
    assert (report["figures"], report["summary"]) == ([], [])
