"""`thinking`: NoThinking against thinking and plain, at equal token budgets."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, Field

from services.evaluation.endpoint import Endpoint, EndpointError
from services.evaluation.suites.base import Answer, Kind, Plan, Planned, ServedName
from services.evaluation.suites.drawing import digest, item_seed
from services.evaluation.suites.outside import Outside, each, plain
from services.evaluation.suites.served import served
from services.evaluation.suites.sets.problem import Problem
from services.evaluation.suites.sets.reading import choose
from services.evaluation.suites.thinking_figures import curves
from services.evaluation.suites.thinking_samples import ACCURACIES, KS, read_samples, scores
from shared.contracts.base import Strict
from shared.contracts.candor import CandorOptions, SamplingOptions
from shared.contracts.evaluation import Item
from shared.contracts.figure import Figure

Mode = Literal["no_thinking", "thinking", "plain"]

INSTRUCTION = '\nWork it out step by step. Then write "The answer is" and the number.'
"""No letter stands for the number: a small model would repeat it."""


class ThinkingOptions(Strict):
    """Which problems, in which modes, and what each sample may spend."""

    sets: Annotated[list[str], Field(min_length=1)] = ["gsm8k"]
    modes: Annotated[list[Mode], Field(min_length=1)] = ["no_thinking", "thinking", "plain"]
    budgets: Annotated[list[Annotated[int, Field(ge=1, le=32_768)]], Field(min_length=1)] = [128, 256]
    samples: Annotated[int, Field(ge=1, le=64)] = 16
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.6
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.95
    verify: Annotated[bool, Field(description="Have the endpoint's math verifier check every sample too.")] = True
    instruction: str = INSTRUCTION
    model: ServedName = "candor"


class Thinking:
    """The suite. An item is one problem in one mode and budget: one request, whose samples give all scores."""

    id = "thinking"
    version = "2"
    title = "NoThinking against thinking and plain, at equal token budgets"
    description = (
        "Problems with a final answer, each answered by parallel samples in each mode with the same budget of tokens a "
        "sample. pass@k is the unbiased estimate of the chance that one of k samples is right; majority, confidence "
        "(self-certainty, Borda p = 0.5) and best (the most confident) are the accuracy of the answer that the "
        "samples choose together; verifier that of the first sample that the endpoint's verifier, which knows the gold "
        "answer, accepts (pass@samples where it is never wrong; verifier_agrees is the share of samples on which it "
        "agrees with us, where the gold answer is a number and we decide); gateway that of the answer given. tokens "
        "are of a sample, truncated and unparsed shares of the samples; milliseconds is the time of the request with "
        "all its samples."
    )
    options: type[BaseModel] = ThinkingOptions
    metrics: Mapping[str, Kind] = {
        **{f"pass@{k}": "mean" for k in KS},
        **dict.fromkeys(ACCURACIES, "proportion"),
        "unparsed": "mean",
        "truncated": "mean",
        "verifier_agrees": "mean",
        "tokens": "mean",
        "milliseconds": "mean",
    }
    contrasts: Sequence[tuple[str, str]] = ()
    compared: Sequence[str] = ["pass@1", "majority", "confidence", "verifier"]

    def plan(self, options: ThinkingOptions, limit: int, seed: int, home: Path) -> Plan:
        """Problem by problem, each in all modes and budgets. Raises BadOption, MissingData."""
        items: list[Planned] = []
        used: list[Problem] = []
        warnings: list[str] = []
        for name in dict.fromkeys(options.sets):
            chosen = choose(home, name, limit, seed)
            used += chosen
            if len(chosen) < limit:
                warnings.append(f"{name}: it has {len(chosen)} of the {limit} problems asked for.")
            items += [
                _item(problem, name, (mode, budget), options, seed)
                for problem in chosen
                for budget in sorted(set(options.budgets))
                for mode in dict.fromkeys(options.modes)
            ]
        versions = {
            "questions": f"sha256:{digest(used)}",
            "model": options.model,
            "modes": ",".join(dict.fromkeys(options.modes)),
            "verifier": "math" if options.verify else "",
        }
        return Plan(items, versions, warnings)

    def outside(self, plan: Plan, there: Outside) -> Plan:
        """The mode `plain`, by the parameter `n`: samples without confidences, unverified."""
        unsure = (
            f"{there.name} says no confidence of its samples and verifies none: `confidence` is the majority there, "
            "`best` and `gateway` the first sample, and `verifier` the first that is right."
        )
        found = each(plan, there, lambda item: _outside(item, there.model))
        return replace(found, warnings=[*found.warnings, unsure])

    async def describe(self, endpoint: Endpoint, versions: Mapping[str, str]) -> dict[str, str]:
        """What is served, after one short question in each mode. Raises EndpointError for a mode that is refused."""
        found = await served(endpoint, versions.get("model"))
        if endpoint.model is not None:
            # no stack: it knows no modes
            return found
        for mode in versions["modes"].split(","):
            sampling: dict[str, Any] = {"mode": mode, "samples": 1, "budget": 32}
            if versions["verifier"]:
                sampling["verifier"] = {"kind": "math", "answer": "2"}
            probe = {
                "model": versions["model"],
                "messages": [{"role": "user", "content": "What is 1 + 1?"}],
                "candor": {"sampling": sampling, "retrieval": False, "trace": False},
            }
            try:
                await endpoint.post("/v1/chat/completions", probe, item=f"probe-{mode}")
            except EndpointError as error:
                rest = json.dumps([one for one in versions["modes"].split(",") if one != mode], separators=(",", ":"))
                raise EndpointError(
                    f"The mode {mode!r} was refused: {error} To run without it: --option 'modes={rest}' (without the "
                    "verifier, if it is that: --option verify=false)."
                ) from error
        return found

    async def answer(self, planned: Planned, endpoint: Endpoint) -> Answer:
        """One chat completion with all samples. Raises EndpointError or BadAnswer."""
        return read_samples(await endpoint.post("/v1/chat/completions", planned.ask["body"], item=planned.id), planned)

    def score(self, planned: Planned, answer: Answer) -> dict[str, float]:
        """All measures, from the samples that were kept."""
        return scores(planned.gold, answer.details, answer.latency_ms)

    def contrasts_among(self, settings: Sequence[str]) -> Sequence[tuple[str, str]]:
        """Modes at the same budget."""
        modes: tuple[str, ...] = get_args(Mode)
        budgets = dict.fromkeys(setting.split("@")[1] for setting in settings)
        pairs = [
            (f"{one}@{budget}", f"{other}@{budget}")
            for budget in budgets
            for at, one in enumerate(modes)
            for other in modes[at + 1 :]
        ]
        return [(one, other) for one, other in pairs if one in settings and other in settings]

    def figures(self, items: Iterable[Item]) -> list[Figure]:
        """pass@k, and accuracy against tokens and against time."""
        return curves(items)


def _item(problem: Problem, name: str, setting: tuple[Mode, int], options: ThinkingOptions, seed: int) -> Planned:
    mode, budget = setting
    sampling_seed = item_seed(seed, problem.id)
    extension = _extension(mode, budget, problem.answers[0], options)
    body = {
        "model": options.model,
        "messages": [{"role": "user", "content": problem.lettered() + options.instruction}],
        "seed": sampling_seed,
        "temperature": options.temperature,
        "top_p": options.top_p,
        "candor": extension.model_dump(mode="json", exclude_unset=True),
    }
    return Planned(
        id=f"{problem.id}@{mode}-{budget}",
        question_id=problem.id,
        set=name,
        setting=f"{mode}@{budget}",
        question=problem.question,
        gold=problem.answers,
        seed=sampling_seed,
        ask={"body": body, "mode": mode, "budget": budget, "samples": options.samples},
    )


def _outside(planned: Planned, model: str) -> dict[str, Any] | None:
    ask = planned.ask
    if ask["mode"] != "plain":
        return None
    return {**ask, "body": {**plain(ask["body"], model), "n": ask["samples"], "max_tokens": ask["budget"]}}


def _extension(mode: Mode, budget: int, gold: str, options: ThinkingOptions) -> CandorOptions:
    """Without retrieval and tracing: what is measured is the sampling. Strict: no sample may be missing unsaid."""
    sampling = SamplingOptions.model_validate(
        {"mode": mode, "samples": options.samples, "budget": budget, "aggregate": "confidence"}
        | ({"verifier": {"kind": "math", "answer": gold}} if options.verify else {})
    )
    return CandorOptions(retrieval=False, trace=False, sampling=sampling, strict=True)
