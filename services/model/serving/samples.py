"""A sample as it comes in, and what is told of it at its end."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from statistics import fmean

from services.model.engines.base import Delta, Finish, Token
from services.model.service import ModelService
from services.model.serving.streams import Generations
from shared.contracts.model import SampleDetail


@dataclass
class Sample:
    """The text and tokens of one sample; `finish` once it has ended."""

    text: str = ""
    tokens: list[Token] = field(default_factory=list)
    finish: Finish | None = None

    def add(self, delta: Delta) -> None:
        """Take what a step adds."""
        self.text += delta.text
        self.tokens += delta.tokens
        self.finish = delta.finish or self.finish

    @property
    def generated(self) -> int:
        """Its tokens so far; those whose text is held back (half a character, perhaps a stop string) at its end."""
        return len(self.finish.logprobs if self.finish else self.tokens)

    def end(self) -> Finish:
        """How it ended. Raises RuntimeError when it has not."""
        if self.finish is None:
            raise RuntimeError("the sample has not ended")
        return self.finish


async def collect(running: Generations, prompts: int, n: int) -> list[list[Sample]]:
    """All n samples of all prompts, when the last has ended."""
    samples = [[Sample() for _ in range(n)] for _ in range(prompts)]
    with running:
        async for place, deltas in running:
            for delta in deltas:
                samples[place][delta.choice].add(delta)
    return samples


def detail(service: ModelService, finish: Finish, *, tokens: bool) -> SampleDetail:
    """What NoThinking's confidence and the ledger need; with `tokens` also the statistics of each token."""
    return SampleDetail(
        tokens=len(finish.logprobs),
        routing=service.experts.shares(finish.routing),
        self_certainty=self_certainty(finish.means, service.engine.info.vocabulary),
        logprobs=finish.logprobs if tokens else None,
        mean_logprobs=finish.means if tokens else None,
    )


def self_certainty(means: list[float], vocabulary: int) -> float:
    """Mean over tokens of KL(uniform || p), in nats; higher is more certain.

    ``means[t]`` is the mean of log p over the whole vocabulary at token t, so that KL(U || p) = -log V - mean.
    Source: self-certainty (Kang et al. 2025), as used for Borda voting in NoThinking (Ma et al. 2025).
    """
    return -math.log(vocabulary) - fmean(means)
