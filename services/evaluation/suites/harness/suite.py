"""The suite: a task of lm-evaluation-harness is an item, and its results stand beside ours."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, StringConstraints

from services.evaluation.endpoint import Endpoint
from services.evaluation.errors import BadOption, OnlyOfAStack
from services.evaluation.statistics.intervals import Z95
from services.evaluation.suites.base import Answer, Kind, Plan, Planned
from services.evaluation.suites.harness.probe import check_tokenizer, probe
from services.evaluation.suites.harness.process import run_task
from services.evaluation.suites.outside import Outside, each
from services.evaluation.suites.served import served
from shared.contracts.base import Strict
from shared.contracts.evaluation import Item
from shared.contracts.figure import Figure, Plot, Series

PROGRAM = "lm-eval-venv/bin/lm_eval"
"""In the data folder, in an environment of its own, since its pins clash with ours."""

TASKS = "lm-eval-tasks"
"""Of the data folder: YAML files of tasks, and the data files they name. The harness runs code that such files name,
so they are the operator's to put there and nothing that a request can bring."""

TaskName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$")]
MODEL_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.+/:-]{0,199}$"
"""No comma and no equals sign: it is a part of the harness's --model_args."""

ModelName = Annotated[str, StringConstraints(pattern=MODEL_NAME)]


class HarnessOptions(Strict):
    """Which tasks, and how the harness asks."""

    tasks: Annotated[
        list[TaskName],
        Field(min_length=1, max_length=100, description="Of the harness, or of CANDOR_HOME/lm-eval-tasks, by name."),
    ]
    chat: Annotated[bool, Field(description="Through chat completions, with the template: for generating tasks.")] = (
        False
    )
    shots: Annotated[int, Field(ge=0, le=100)] | None = None
    batch: Annotated[int, Field(ge=1, le=256)] = 4
    minutes: Annotated[float, Field(gt=0, le=10_000, description="For one task.")] = 60
    model: ModelName = "candor"


class LmEval:
    """The suite. Results are the harness's own, with its standard errors; no metric of ours is made of them."""

    id = "lm-eval"
    version = "1"
    title = "Tasks of lm-evaluation-harness"
    description = (
        "Each task runs as a process in lm-eval's own environment, against the endpoint's completions (or chat "
        "completions). Before the first one a probe makes sure that the endpoint returns the log-probabilities of a "
        "prompt. The harness's results are kept with the item, with the score of every document; the plot has its "
        "metrics with 1.96 of its standard errors. `limit` is the number of a task's documents."
    )
    options: type[BaseModel] = HarnessOptions
    metrics: Mapping[str, Kind] = {}
    contrasts: Sequence[tuple[str, str]] = ()
    compared: Sequence[str] = ()

    def plan(self, options: HarnessOptions, limit: int, seed: int, home: Path) -> Plan:
        """A task after the other. Raises BadOption where lm-eval is not installed."""
        program = home / PROGRAM
        if not program.is_file():
            raise BadOption(
                "tasks", f"lm-eval is not installed: there is no {program}. `make test-lm-eval` makes its environment."
            )
        items = [_item(task, options, limit, seed, home) for task in dict.fromkeys(options.tasks)]
        versions = {"model": options.model, "asked": "chat" if options.chat else "completions"}
        return Plan(items, versions)

    def outside(self, plan: Plan, there: Outside) -> Plan:
        """Every task, of the other model. Raises OnlyOfAStack for a name that the harness cannot be given."""
        if not re.fullmatch(MODEL_NAME, there.model):
            raise OnlyOfAStack(f"lm-eval cannot be given the name {there.model!r} of {there.name!r}.")
        return each(plan, there, lambda item: {**item.ask, "model": there.model})

    async def describe(self, endpoint: Endpoint, versions: Mapping[str, str]) -> dict[str, str]:
        """What is served, after the probe. Raises EndpointError."""
        found = await served(endpoint, versions.get("model"))
        if versions["asked"] == "completions":
            await check_tokenizer(endpoint)
            await probe(endpoint, versions["model"])
        return found

    async def answer(self, planned: Planned, endpoint: Endpoint) -> Answer:
        """The harness's results of a task. Raises BadAnswer."""
        ask = planned.ask
        given = f"model={ask['model']},base_url={endpoint.url}{ask['path']},max_retries=2,num_concurrent=1"
        command = [*ask["command"], "--model_args", given]
        started = time.perf_counter()
        found = await run_task(
            command, planned.set, folder=Path(ask["folder"]), seconds=ask["seconds"], key=endpoint.api_key
        )
        took = (time.perf_counter() - started) * 1000
        told = "\n".join(
            f"{one.name}: {one.value:.4f} (standard error {one.error or 0:.4f})" for one in _results(found)
        )
        return Answer(" ".join(command), told, None, took, found)

    def score(self, planned: Planned, answer: Answer) -> dict[str, float]:
        """The harness's metrics of the task, under its own names; of a chat also the share without a text."""
        found, samples = {one.name: one.value for one in _results(answer.details)}, answer.details["samples"]
        if "--apply_chat_template" in planned.ask["command"] and samples and "silent" in answer.details:
            found["unparsed"] = answer.details["silent"] / len(samples)
        return found

    def figures(self, items: Iterable[Item]) -> list[Figure]:
        """Every metric that has a standard error, as a bar for each task."""
        bars: dict[str, list[tuple[str, _Result]]] = {}
        for item in items:
            if item.status == "scored":
                for one in _results(item.details):
                    if one.error is not None:
                        bars.setdefault(one.name, []).append((f"{item.set} ({item.details['documents']})", one))
        return [_plot(bars)] if bars else []

    def summary(self, items: Iterable[Item]) -> list[str]:
        """A line for each task."""
        return [_line(item) for item in items if item.status == "scored"]


@dataclass(frozen=True)
class _Result:
    """A metric of a task; `error` is its standard error, None where the harness gives none."""

    name: str
    value: float
    error: float | None


def _results(details: Mapping[str, Any]) -> list[_Result]:
    """The harness names a metric `acc,none`, and its standard error `acc_stderr,none`."""
    results, found = details["results"], []
    for key, value in results.items():
        metric, _, rule = key.partition(",")
        if rule and not metric.endswith("_stderr") and isinstance(value, int | float):
            error = results.get(f"{metric}_stderr,{rule}")
            name = metric if rule == "none" else f"{metric} ({rule})"
            found.append(_Result(name, float(value), float(error) if isinstance(error, int | float) else None))
    return found


def _item(task: str, options: HarnessOptions, limit: int, seed: int, home: Path) -> Planned:
    kind = "local-chat-completions" if options.chat else "local-completions"
    tasks = home / TASKS
    command = [str(home / PROGRAM), "--model", kind, "--tasks", task, "--limit", str(limit), "--seed", str(seed)]
    command += ["--batch_size", "1" if options.chat else str(options.batch), "--log_samples"]
    command += ["--include_path", str(tasks)] if tasks.is_dir() else []
    command += ["--num_fewshot", str(options.shots)] if options.shots is not None else []
    command += ["--apply_chat_template"] if options.chat else []
    ask = {
        "command": command,
        "model": options.model,
        "path": "/v1/chat/completions" if options.chat else "/v1/completions",
        "folder": str(tasks if tasks.is_dir() else home),
        "seconds": options.minutes * 60,
    }
    return Planned(task, task, task, kind, f"lm_eval --tasks {task} --limit {limit}", [], seed, ask)


def _line(item: Item) -> str:
    told = "; ".join(
        f"{one.name} {one.value:.3f}" + (f" ± {Z95 * one.error:.3f}" if one.error is not None else "")
        for one in _results(item.details)
    )
    shots = f", {item.details['shots']} shots" if item.details["shots"] is not None else ""
    silent = item.details.get("silent")
    without = f"; {silent} answers without a text, which the harness scored as wrong" if silent else ""
    return f"{item.set} ({item.details['documents']} documents{shots}): {told}{without}"


def _plot(bars: Mapping[str, Sequence[tuple[str, _Result]]]) -> Plot:
    series = []
    for name, results in bars.items():
        values = [(one.value, Z95 * (one.error or 0.0)) for _, one in results]
        series.append(
            Series(
                name=name,
                x=[task for task, _ in results],
                y=[value for value, _ in values],
                low=[value - half for value, half in values],
                high=[value + half for value, half in values],
            )
        )
    return Plot(
        kind="bar",
        title="Results of lm-evaluation-harness",
        x_title="task (documents)",
        y_title="score",
        series=series,
        note="The harness's own figures, with 1.96 of its standard errors on either side.",
    )
