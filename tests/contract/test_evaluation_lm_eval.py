"""`lm-eval` through the real service: the probe, the process and what becomes of its results.

A small program in place of the harness: tests/lm_eval runs the real one, in its environment.
"""

from __future__ import annotations

import json
import stat
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from services.evaluation.suites.harness.probe import LIKELY
from shared.contracts.evaluation import Report
from shared.contracts.figure import Plot
from tests.contract.endpoint_support import Body, endpoint
from tests.contract.evaluation_support import Service, serving

PROGRAM = """#!{python}
import json, os, sys, time
from pathlib import Path

given = dict(zip(sys.argv, sys.argv[1:]))
task = given["--tasks"]
if task == "broken":
    sys.exit("no such task")
if task == "chatty":
    print("x" * 50_000_000)
    print("at the end of all words")
    sys.exit(3)
if task == "slow":
    Path("pid").write_text(str(os.getpid()))
    time.sleep(600)
output = Path(given["--output_path"]) / "model"
output.mkdir()
results = {{"alias": task, "acc,none": 0.25, "acc_stderr,none": 0.05}}
results |= {{"acc_norm,none": 0.5, "acc_norm_stderr,none": "N/A"}}
counted = {{"effective": int(given["--limit"])}}
whole = {{"results": {{task: results}}, "n-shot": {{task: 0}}, "n-samples": {{task: counted}}}}
(output / "results_1.json").write_text(json.dumps(whole))
samples = [{{"doc_id": 0, "metrics": ["acc"], "acc": 1.0, "arguments": {{}}}}]
(output / f"samples_{{task}}_1.jsonl").write_text("".join(json.dumps(one) + "\\n" for one in samples))
if task == "many":
    results_of = {{"many": results, "many_a": results, "many_b": results}}
    counts = {{"many_a": {{"effective": 2}}, "many_b": {{"effective": 3}}}}
    (output / "results_1.json").write_text(json.dumps({{"results": results_of, "n-samples": counts}}))
    (output / "samples_many_1.jsonl").unlink()
    for name in counts:
        (output / f"samples_{{name}}_1.jsonl").write_text(json.dumps(samples[0]) + "\\n")
Path("environment.json").write_text(json.dumps(dict(os.environ)))
Path("asked.json").write_text(json.dumps([sys.argv[1:], os.environ.get("HF_HUB_OFFLINE"), "PYTHONPATH" in os.environ]))
"""

echoing = {"how": "well"}


def reply(path: str, body: Body) -> tuple[int, Body]:
    if path == "/tokenizer_info":
        return 200, {}
    if path != "/v1/completions":
        return 404, {}
    words = [f"{word} " for word in body["prompt"].split(" ")]
    words[-1] = words[-1].strip()
    each = -1.0 if body["prompt"] == LIKELY or echoing["how"] == "the same" else -5.0
    said = {
        "tokens": words,
        "token_logprobs": [None, *[each] * (len(words) - 1)],
        "text_offset": [],
        "top_logprobs": [],
    }
    if echoing["how"] == "continuing":
        said = {"tokens": [" hello"] * 5, "token_logprobs": [-1.0] * 5, "text_offset": [], "top_logprobs": []}
    if echoing["how"] == "oddly":
        said |= {"tokens": None}
    return 200, {"choices": [{"text": "", "logprobs": None if echoing["how"] == "not" else said}]}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    here = tmp_path_factory.mktemp("home")
    (here / "lm-eval-tasks").mkdir()
    program = here / "lm-eval-venv/bin/lm_eval"
    program.parent.mkdir(parents=True)
    program.write_text(PROGRAM.format(python=sys.executable))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return here


@pytest.fixture(scope="module")
def service(home: Path) -> Iterator[Service]:
    with endpoint(reply) as url, serving(home, url, failure_rate="1") as running:
        yield running


def run(service: Service, *tasks: str, **options: Any) -> dict[str, Any]:
    return service.wait(service.create(suite="lm-eval", limit=7, options={"tasks": list(tasks), **options})["id"])


def test_the_harness_is_asked_and_its_results_are_kept(service: Service, home: Path) -> None:
    ended = run(service, "arc", shots=2)
    assert (ended["status"], ended["error"]) == ("succeeded", None)
    [item] = service.items(ended["id"])
    assert item["scores"] == {"acc": 0.25, "acc_norm": 0.5}
    assert item["details"]["samples"] == [{"task": "arc", "doc_id": 0, "acc": 1.0}]
    command, offline, ours = json.loads((home / "lm-eval-tasks/asked.json").read_text())
    given = dict(pairwise(command))
    assert (given["--limit"], given["--num_fewshot"], given["--model"]) == ("7", "2", "local-completions")
    assert "/v1/completions" in item["prompt"]
    assert (offline, ours) == ("1", False)
    report = Report.model_validate(service.http.get(f"/v1/evaluations/{ended['id']}/report").json())
    # no interval of ours is put around a single figure: the harness's own is in the plot
    assert report.cells[0].scores == {}
    [plot] = report.figures
    assert isinstance(plot, Plot)
    assert plot.series[0].y == [0.25]
    assert plot.series[0].low == pytest.approx([0.25 - 1.96 * 0.05], abs=1e-4)
    assert report.summary == ["arc (7 documents, 0 shots): acc 0.250 ± 0.098; acc_norm 0.500"]


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("not", "it sends none"),
        ("oddly", "it sends none"),
        ("continuing", "they are not the prompt's"),
        ("the same", "no language model's"),
    ],
)
def test_an_endpoint_that_does_not_echo_is_found_out_before_the_first_task(
    service: Service, how: str, says: str
) -> None:
    echoing["how"] = how
    try:
        ended = run(service, "arc")
        chat = run(service, "arc", chat=True)
    finally:
        echoing["how"] = "well"
    assert (ended["status"], ended["progress"]["done"]) == ("failed", 0)
    assert says in ended["error"]
    assert "by chance" in ended["error"]
    assert chat["status"] == "succeeded"


def test_a_task_that_fails_is_kept_with_the_harness_words_and_the_others_go_on(service: Service) -> None:
    ended = run(service, "broken", "arc")
    assert ended["progress"] == {"done": 2, "total": 2, "failed": 1}
    [failed] = service.items(ended["id"], status="failed")
    assert failed["error"] == "lm_eval ended with 1: no such task"


def test_a_group_of_tasks_counts_the_documents_of_all(service: Service) -> None:
    ended = run(service, "many")
    [item] = service.items(ended["id"])
    assert item["details"]["documents"] == 5
    assert [one["task"] for one in item["details"]["samples"]] == ["many_a", "many_b"]


def test_a_harness_that_says_much_is_kept_with_its_last_words(service: Service) -> None:
    [failed] = service.items(run(service, "chatty")["id"])
    assert failed["error"].endswith("at the end of all words")
    assert len(failed["error"]) < 20_000


def test_nothing_of_the_services_environment_is_the_harness(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANDOR_GATEWAY_DATABASE_URL", "postgresql://candor:secret@somewhere/candor")
    monkeypatch.setenv("OPENAI_API_KEY", "a key for elsewhere")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy")
    for name in ("lm-eval-venv", "lm-eval-tasks"):
        (tmp_path / name).symlink_to(home / name)
    with endpoint(reply) as url, serving(tmp_path, url) as service:
        assert run(service, "arc")["status"] == "succeeded"
    seen = json.loads((home / "lm-eval-tasks/environment.json").read_text())
    assert "PATH" in seen
    assert not {"secret", "a key for elsewhere", "http://proxy"} & {*seen.values()}
    assert not [name for name in seen if name.startswith("CANDOR_")]


def test_a_cancelled_run_takes_its_process_with_it(service: Service, home: Path) -> None:
    created, process = _slow(service, home)
    service.http.post(f"/v1/evaluations/{created}/cancel")
    _until_gone(process)


def test_a_killed_service_leaves_no_process_behind(home: Path, tmp_path: Path) -> None:
    for name in ("lm-eval-venv", "lm-eval-tasks"):
        (tmp_path / name).symlink_to(home / name)
    with endpoint(reply) as url, serving(tmp_path, url) as service:
        _, process = _slow(service, home)
        service.kill()
        _until_gone(process)


def _slow(service: Service, home: Path) -> tuple[str, Path]:
    """A run whose task goes on for long, and its process."""
    pid = home / "lm-eval-tasks/pid"
    pid.unlink(missing_ok=True)
    created: str = service.create(suite="lm-eval", limit=7, options={"tasks": ["slow"]})["id"]
    until = time.monotonic() + 60
    while not pid.exists() or not pid.read_text():
        assert time.monotonic() < until
        time.sleep(0.05)
    return created, Path("/proc") / pid.read_text()


def _until_gone(process: Path) -> None:
    until = time.monotonic() + 60
    while not _gone(process):
        assert time.monotonic() < until
        time.sleep(0.1)


def _gone(process: Path) -> bool:
    try:
        return "zombie" in (process / "status").read_text()
    except OSError:
        return True


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "The suite lm-eval needs the option 'tasks'. Of the harness"),
        ({"tasks": ["../x"]}, "should match pattern"),
        ({"tasks": ["--help"]}, "should match pattern"),
        ({"tasks": ["arc"], "model": "candor,base_url=http://elsewhere"}, "should match pattern"),
    ],
)
def test_what_is_no_name_of_a_task_or_model_is_refused(service: Service, options: dict[str, Any], says: str) -> None:
    refused = service.http.post("/v1/evaluations", json={"suite": "lm-eval", "options": options})
    assert (refused.status_code, refused.json()["code"]) == (422, "bad_option")
    assert says in refused.json()["detail"]


def test_without_the_harness_it_is_said_how_to_get_it(tmp_path: Path) -> None:
    with serving(tmp_path, "http://127.0.0.1:9") as service:
        refused = service.http.post("/v1/evaluations", json={"suite": "lm-eval", "options": {"tasks": ["arc"]}})
    assert refused.status_code == 422
    assert "make test-lm-eval" in refused.json()["detail"]
