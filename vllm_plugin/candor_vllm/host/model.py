"""Requests to vLLM's parameters, and vLLM's outputs to events."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections.abc import AsyncGenerator, Mapping, Sequence
from statistics import fmean
from types import MappingProxyType
from typing import Any

from vllm import SamplingParams
from vllm.inputs.engine import tokens_input
from vllm.sampling_params import RequestOutputKind
from vllm.v1.engine.async_llm import AsyncLLM

from candor_vllm import trace
from candor_vllm.host.wire import Generate, Generated, Hello, Invalid, Route, Routed, Score, Scored
from candor_vllm.statistics import Statistics, columns, split

_ROUNDING = 1e-3

_TRACES = 16
"""Sequences that are routed at once: the worker keeps `candor_vllm.trace.LIMIT` traces, also of those that gave up."""


class Model:
    """vLLM's engine with the plugin, in terms of the wire's messages."""

    def __init__(self, llm: AsyncLLM, hello: Hello) -> None:
        self.llm, self.hello = llm, hello
        self._numbers = itertools.count()
        self._traces = asyncio.Semaphore(_TRACES)

    async def prove(self) -> None:
        """Compute something small under a mask, and see that it held, before anybody is served.

        Raises RuntimeError when the worker lets another expert take part, or cannot compute with this checkpoint.
        """
        last = self.hello.experts - 1
        scored = await self.score(Score(id="proof", tokens=[0, 0, 0], allowed=[last]))
        *others, own = scored.routing
        if any(others) or not abs(own - 1) < _ROUNDING or scored.allowed != [last]:
            raise RuntimeError(
                f"the worker ignores masks: under one of expert {last} alone it reports {scored.routing}, and that it "
                f"laid one of {scored.allowed}"
            )

    def check(self, request: Generate | Score | Route) -> None:
        """Raises Invalid for what the model does not have, or has no room for: in the worker it would be fatal."""
        tokens = request.prompt if isinstance(request, Generate) else request.tokens
        new = request.max_tokens if isinstance(request, Generate) else 0
        bias = request.logit_bias if isinstance(request, Generate) else {}
        if isinstance(request, Route) and not self.hello.routing:
            raise Invalid("routing is not to be had from steps that are compiled; start vLLM with enforce_eager")
        if unknown := set(request.allowed) - set(range(self.hello.experts)):
            raise Invalid(f"allowed has expert {min(unknown)}; the model has {self.hello.experts}")
        if (largest := max([*tokens, *bias])) >= self.hello.vocabulary:
            raise Invalid(f"there is no token {largest}; the vocabulary has {self.hello.vocabulary}")
        if len(tokens) + new > self.hello.max_length:
            raise Invalid(f"{len(tokens)} tokens and {new} to come are more than {self.hello.max_length}")

    async def generate(self, request: Generate, choice: int) -> AsyncGenerator[Generated]:
        """One sample of a request that was checked, as it comes."""
        parameters = SamplingParams(
            max_tokens=request.max_tokens,
            temperature=request.temperature,
            top_p=request.top_p,
            seed=_seed(request.seed, choice),
            logit_bias=request.logit_bias or None,
            logprobs=columns(self.hello.experts) + request.top,
            stop_token_ids=self.hello.ends,
            output_kind=RequestOutputKind.DELTA,
            **_masked(request.allowed),
        )
        async for output in self._run(request.prompt, parameters):
            (added,) = output.outputs
            statistics = [split(row) for row in added.logprobs or []]
            if added.token_ids or added.finish_reason:
                yield Generated(
                    id=request.id,
                    choice=choice,
                    allowed=_applied(statistics),
                    tokens=list(added.token_ids),
                    logprobs=_own(added.token_ids, added.logprobs or []),
                    means=[one.mean for one in statistics],
                    top=[list(one.top[: request.top]) for one in statistics],
                    routing=[list(one.routing) for one in statistics],
                    finish=added.finish_reason,
                )

    async def score(self, request: Score) -> Scored:
        """The scores of a sequence that was checked."""
        parameters = SamplingParams(
            # a token is drawn for nothing but the statistics of the last position, whose routing counts as the others'
            max_tokens=1,
            temperature=0,
            logprobs=columns(self.hello.experts),
            prompt_logprobs=columns(self.hello.experts) + request.top,
            output_kind=RequestOutputKind.FINAL_ONLY,
            **_masked(request.allowed),
        )
        async for output in self._run(request.tokens, parameters):
            # the first token is given, so nothing speaks of it
            rows = list(output.prompt_logprobs or [])[1:]
            statistics = [split(row) for row in rows]
            (last,) = output.outputs
        positions: list[Statistics] = [*statistics, split(last.logprobs[0])]
        return Scored(
            id=request.id,
            allowed=_applied(positions),
            logprobs=_own(request.tokens[1:], rows),
            means=[one.mean for one in statistics],
            variances=[one.variance for one in statistics],
            top=[list(one.top[: request.top]) for one in statistics],
            routing=[fmean(shares) for shares in zip(*(one.routing for one in positions), strict=True)],
        )

    async def route(self, request: Route) -> Routed:
        """The routing of a sequence that was checked, layer by layer."""
        key = f"route {next(self._numbers)}"
        width = columns(self.hello.experts)
        parameters = SamplingParams(
            # the token that is drawn is the one predicted after the last, and is never computed on
            max_tokens=1,
            temperature=0,
            logprobs=width,
            prompt_logprobs=width + 1 if request.predict else None,
            output_kind=RequestOutputKind.FINAL_ONLY,
            **_masked(request.allowed, {trace.FIELD: key}),
        )
        async with self._traces:
            async for output in self._run(request.tokens, parameters):
                (last,) = output.outputs
                positions = [split(row) for row in [*(output.prompt_logprobs or [])[1:], last.logprobs[0]]]
            # every worker has the same
            (probabilities, chosen), *_ = await self.llm.collective_rpc("take_routing", args=(key,))
        filled = min(self.hello.active, len(set(request.allowed)))
        left = [-1] * (self.hello.active - filled)
        return Routed(
            id=request.id,
            allowed=_applied(positions),
            probabilities=probabilities,
            chosen=[[slots[:filled] + left for slots in layers] for layers in chosen],
            predicted=[*(one.top[0][0] for one in positions[:-1]), last.token_ids[0]] if request.predict else None,
        )

    def _run(self, tokens: Sequence[int], parameters: SamplingParams) -> AsyncGenerator[Any]:
        outputs: AsyncGenerator[Any] = self.llm.generate(
            tokens_input(list(tokens)), parameters, str(next(self._numbers))
        )
        return outputs


def _masked(allowed: Sequence[int], extra: Mapping[str, str] = MappingProxyType({})) -> dict[str, Any]:
    mask = ",".join(map(str, sorted(set(allowed))))
    return {"extra_args": {"experts_on": mask, "statistics": "1", **extra}, "detokenize": False}


def _applied(positions: Sequence[Statistics]) -> list[int]:
    """The one mask that the worker laid for all of them, or none. Raises RuntimeError when there were several."""
    masks = {each.allowed for each in positions}
    if len(masks) > 1:
        raise RuntimeError(f"the tokens of one request were computed under different masks: {sorted(masks)}")
    return [expert for mask in masks for expert in mask]


def _own(tokens: Sequence[int], rows: Sequence[Any]) -> list[float]:
    return [row[token].logprob for token, row in zip(tokens, rows, strict=True)]


def _seed(seed: str | None, choice: int) -> int | None:
    """Random numbers of its own for each sample of a request."""
    if seed is None:
        return None
    return int.from_bytes(hashlib.sha256(f"{seed}/{choice}".encode()).digest()[:7])
