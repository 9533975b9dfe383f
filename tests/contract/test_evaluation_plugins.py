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


FAULTY = """
import sys
from capitals import Capitals, Options
from services.evaluation.suites.base import Plan, Planned

class Tripping(Capitals):
    id = "tripping"
    def contrasts_among(self, settings): return 1 / 0
    def figures(self, items): raise RuntimeError("no figure today")
    def summary(self, items): return [self.nothing]

class Twice(Capitals):
    id = "twice"
    def plan(self, options, limit, seed, home):
        plan = super().plan(options, limit, seed, home)
        return Plan([*plan.items, plan.items[0]])

class Doubled(Capitals):
    id = "doubled"
    def plan(self, options, limit, seed, home):
        return Plan([Planned(f"q@{n}", "q", "set", "rag", "Who?", ["He"], n, {}) for n in range(2)])

class Nothing(Capitals):
    id = "nothing"
    def plan(self, options, limit, seed, home): return Plan([])

class Unkeepable(Capitals):
    id = "unkeepable"
    async def answer(self, planned, endpoint):
        answer = await super().answer(planned, endpoint)
        answer.details["when"] = {1, 2}
        return answer

class Leaving(Capitals):
    id = "leaving"
    def plan(self, options, limit, seed, home):
        if limit == 2: sys.exit("no plan today")
        return super().plan(options, limit, seed, home)
    async def answer(self, planned, endpoint):
        if planned.setting == "rag": sys.exit("no answer today")
        return await super().answer(planned, endpoint)

class Optionless(Capitals):
    id, options = "optionless", dict

class Uncompared(Capitals):
    id, compared = "uncompared", ["wrong"]

class Unkind(Capitals):
    id, metrics = "unkind", {"right": "share"}

class Unnamed(Capitals):
    id = ["a", "list"]
"""
LOADED = ("Tripping", "Twice", "Doubled", "Nothing", "Unkeepable", "Leaving")
LEFT_OUT = ("Optionless", "Uncompared", "Unkind", "Unnamed")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    home, site = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("site")
    write_set(
        home, "capitals", [{"question": f"The capital of {one}?", "answer": city} for one, city in CAPITALS.items()]
    )
    install(site, "capitals", example(), "capitals = capitals:Capitals")
    install(site, "broken", "import nothing_of_this_name", "broken = broken:Suite")
    install(site, "exit", "import sys\nsys.exit('not today')", "exit = exit:Suite")
    install(site, "partial", "class Suite: id = 'partial'", "partial = partial:Suite")
    install(
        site,
        "impostor",
        "from services.evaluation.suites.rag_qa import RagQa\nclass Suite(RagQa): title = 'not ours'",
        "impostor = impostor:Suite",
    )
    install(site, "faulty", FAULTY, *(f"{name.lower()} = faulty:{name}" for name in (*LOADED, *LEFT_OUT)))
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


def test_a_suite_that_could_not_be_listed_or_reported_is_left_out(service: Service) -> None:
    response = service.http.get("/v1/suites")
    assert response.status_code == 200
    names = {one["id"] for one in response.json()["data"]}
    assert {name.lower() for name in LOADED} <= names
    assert not {name.lower() for name in LEFT_OUT} & names


def test_a_run_ends_and_is_reported_though_its_suite_fails_to_draw_and_to_tell(service: Service) -> None:
    run = service.wait(service.create(suite="tripping", limit=3)["id"], seconds=20)
    assert run["status"] == "succeeded"
    report = service.report(run["id"])
    assert {cell.setting: cell.scores["right"].mean for cell in report.cells} == {"closed_book": 0, "rag": 1}
    assert (report.figures, report.comparisons) == ([], [])
    assert any("no figure today" in sentence for sentence in report.summary)
    markdown = service.http.get(f"/v1/evaluations/{run['id']}/report", params={"format": "markdown"}).text
    assert "no figure today" in markdown


@pytest.mark.parametrize(
    ("suite", "says"),
    [
        ("twice", "two items of the id 'capitals:"),
        ("doubled", "asks the question 'q' of 'set' twice under 'rag'"),
        ("nothing", "there is nothing to ask"),
    ],
)
def test_a_plan_that_cannot_be_kept_or_paired_is_refused(service: Service, suite: str, says: str) -> None:
    response = service.http.post("/v1/evaluations", json={"suite": suite, "limit": 2})
    assert (response.status_code, response.json()["code"]) == (422, "bad_plan")
    assert says in response.json()["detail"]


def test_a_suite_that_calls_exit_ends_neither_the_service_nor_its_run(service: Service) -> None:
    refused = service.http.post("/v1/evaluations", json={"suite": "leaving", "limit": 2})
    assert (refused.status_code, refused.json()["code"]) == (500, "suite_failed")
    assert "'leaving' failed in plan: SystemExit: no plan today" in refused.json()["detail"]
    run = service.wait(service.create(suite="leaving", limit=1)["id"], seconds=60)
    assert (run["status"], run["progress"]) == ("failed", {"done": 2, "total": 2, "failed": 1})
    assert "'leaving' failed in answer: SystemExit: no answer today" in run["error"]
    assert service.wait(service.create(suite="capitals", limit=1)["id"])["status"] == "succeeded"


def test_an_answer_that_is_no_json_is_an_error_of_the_item(service: Service) -> None:
    run = service.wait(service.create(suite="unkeepable", limit=1)["id"], seconds=20)
    assert run["progress"] == {"done": 2, "total": 2, "failed": 2}
    assert all("no JSON" in item["error"] for item in service.items(run["id"]))


def test_a_run_of_few_items_that_all_failed_has_not_succeeded(service: Service) -> None:
    run = service.wait(service.create(suite="unkeepable", limit=1)["id"], seconds=20)
    assert run["status"] == "failed"
    assert "2 of 2 items failed, more than 20%" in run["error"]
    assert service.report(run["id"]).cells[0].failure.mean == 1


def test_a_run_scored_again_by_a_suite_that_cannot_read_it_has_not_succeeded(service: Service) -> None:
    run = service.wait(service.create(suite="capitals", limit=2)["id"])
    again = service.rescore(run["id"], suite="thinking")
    assert (again["status"], again["progress"]["failed"]) == ("failed", 4)
    assert "4 of 4 answers could not be scored" in again["error"]
