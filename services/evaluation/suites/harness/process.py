"""lm_eval as a process, and what it wrote read."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from services.evaluation.suites.base import BadAnswer
from services.evaluation.suites.process import run_program

_PASSED_ON = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "OMP_NUM_THREADS", "LD_LIBRARY_PATH")
"""Of the environment. The rest is the service's own: a task's file runs code, which is not to read the passwords of our
databases, and the endpoint is not to get a key or be asked through a proxy that is meant for others."""

NO_TEXT = "(the endpoint sent no text)"
"""What is scored in place of an answer without a text: lm_eval's own default is an empty one, which models give too."""


async def run_task(
    command: Sequence[str], task: str, *, folder: Path, seconds: float, key: str | None
) -> dict[str, Any]:
    """The results of one task: the harness's own JSON and the score of every document. Raises BadAnswer.

    `folder` is where the process works: data files of tasks are named from there. Cancelled with the run, it is killed
    with all that it started.
    """
    with TemporaryDirectory(prefix="candor-lm-eval-") as output:
        await run_program(
            [*command, "--output_path", output],
            "lm_eval",
            folder=folder,
            environment=_environment(Path(output), key),
            seconds=seconds,
        )
        return await asyncio.to_thread(_read, Path(output), task)


def _environment(output: Path, key: str | None) -> dict[str, str]:
    """Without a hub: tasks and data are local files. Its home and its caches go with the folder of its output."""
    given = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(output / "cache"), "HOME": str(output)}
    given["LMEVAL_MODEL_NONE_ANSWER_PLACEHOLDER"] = NO_TEXT
    kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {**kept, **given, **({"OPENAI_API_KEY": key} if key else {})}


def _read(output: Path, task: str) -> dict[str, Any]:
    found = next(output.rglob("results_*.json"), None)
    if found is None:
        raise BadAnswer("lm_eval ended well and wrote no results")
    whole = json.loads(found.read_text(encoding="utf-8"))
    if task not in whole["results"]:
        raise BadAnswer(f"lm_eval has no result of {task!r}, only of {', '.join(whole['results'])}")
    samples, silent = [], 0
    # of a group of tasks there is a file for each of them
    for logged in sorted(output.rglob("samples_*.jsonl")):
        of = logged.stem.removeprefix("samples_").rpartition("_")[0]
        with logged.open(encoding="utf-8") as lines:
            for sample in map(json.loads, lines):
                samples.append({"task": of, **_scores(sample)})
                silent += any(NO_TEXT in responses for responses in sample.get("resps", []))
    counted = [one["effective"] for one in whole.get("n-samples", {}).values() if "effective" in one]
    return {
        "results": whole["results"][task],
        "higher_is_better": whole.get("higher_is_better", {}).get(task, {}),
        "version": whole.get("versions", {}).get(task),
        "shots": whole.get("n-shot", {}).get(task),
        "documents": sum(counted) if counted else len(samples),
        "harness": whole.get("lm_eval_version"),
        "task_hash": whole.get("task_hashes", {}).get(task),
        "samples": samples,
        "silent": silent,
    }


def _scores(sample: dict[str, Any]) -> dict[str, Any]:
    """The document's number and its metrics."""
    names = sample.get("metrics", [])
    return {"doc_id": sample.get("doc_id"), **{name: sample[name] for name in names if name in sample}}
