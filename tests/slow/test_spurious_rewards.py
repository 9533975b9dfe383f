"""`spurious-rewards` through the real service: trainings as processes, the report, and kill -9 in mid-training."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.contracts.evaluation import Report
from tests.contract.endpoint_support import Body, endpoint
from tests.contract.evaluation_support import Service, serving
from tests.unit.grpo.tiny_support import BUDGET, tiny_model

pytestmark = pytest.mark.timeout(1500)

NAMES = ("tiny-qwen2", "tiny-llama")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    here = tmp_path_factory.mktemp("home")
    for name in NAMES:
        tiny_model(here / "models" / name, name.removeprefix("tiny-"))
    return here


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Nothing is asked of the endpoint."""

    def reply(path: str, body: Body) -> tuple[int, Body]:
        raise AssertionError(path)

    with endpoint(reply) as found:
        yield found


def create(service: Service, seed: int, **options: Any) -> str:
    budget = BUDGET.model_dump() | options.pop("budget", {})
    given = {"models": [NAMES[0]], "rewards": ["ground_truth", "random"], "budget": budget, **options}
    created: str = service.create(suite="spurious-rewards", limit=1, seed=seed, options=given)["id"]
    return created


def test_a_run_killed_in_mid_training_goes_on_from_its_checkpoints_and_ends(home: Path, url: str) -> None:
    with serving(home, url, concurrency="2") as service:
        killed = create(service, 5)
        until = time.monotonic() + 600
        while not list(home.glob("grpo/*/checkpoints/checkpoint-*/trainer_state.json")):
            assert time.monotonic() < until
            time.sleep(0.01)
        service.kill()
    with serving(home, url, concurrency="2") as service:
        ended = service.wait(killed, seconds=600)
        assert (ended["status"], ended["progress"]["failed"]) == ("succeeded", 0)
        items = service.items(killed)
        assert {item["id"] for item in items} == {"tiny-qwen2/ground_truth/5", "tiny-qwen2/random/5"}
        assert max(item["details"]["resumed"] for item in items) == 1
        assert {len(item["details"]["sheets"]) for item in items} == {4}
        assert not list(home.glob("grpo/*/checkpoints/checkpoint-*"))
        report = Report.model_validate(service.http.get(f"/v1/evaluations/{killed}/report").json())
        assert len(report.figures) == 5
        assert {(one.set, one.setting, one.against) for one in report.comparisons} == {
            ("tiny-qwen2", "ground_truth", "random")
        }
        assert len(report.summary) == 1
        page = service.http.get(f"/v1/evaluations/{killed}/report", params={"format": "html"})
        assert "accuracy on the test problems" in page.text


def test_a_training_that_cannot_be_made_is_kept_with_its_reason_and_a_bad_reward_refused(home: Path, url: str) -> None:
    (home / "sets").mkdir()
    (home / "sets" / "mine.jsonl").write_text('{"question": "1+1=", "answer": "#### 2"}\n')
    with serving(home, url, failure_rate="1") as service:
        run = create(service, 6, models=["tiny-llama"], rewards=["format"], train="mine", test="mine")
        ended = service.wait(run, seconds=600)
        assert ended["progress"] == {"done": 1, "total": 1, "failed": 1}
        [failed] = service.items(run, status="failed")
        assert "Every problem of the training is one of the test" in failed["error"]
        refused = service.http.post(
            "/v1/evaluations", json={"suite": "spurious-rewards", "options": {"rewards": ["luck"]}}
        )
        assert refused.status_code == 422
        assert "There is no reward 'luck'" in refused.text
