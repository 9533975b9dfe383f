"""What decides a training, and what it leaves: contracts between the suite, the command line and the trainer."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from services.evaluation.grpo.measures import Sheet
from services.evaluation.grpo.rewards import reward
from shared.contracts.base import Strict

VERSION = "1"
"""Raise it when the same settings no longer give the same training."""

SUMS = "sums"
"""The set that is made here; any other name is a file of CANDOR_HOME/sets or in the pulled package."""


def _known(sentence: str) -> str:
    return str(reward(sentence))


RewardSentence = Annotated[str, AfterValidator(_known)]


class Budget(Strict):
    """How much is trained, and on what machine. The defaults are the paper's, for GPUs; `SMALL` is for a CPU."""

    prompts: Annotated[int, Field(ge=1, description="Different problems in a rollout.")] = 64
    samples: Annotated[int, Field(ge=2, description="Of a problem in a rollout: the group of GRPO.")] = 16
    rollouts: Annotated[int, Field(ge=1)] = 150
    learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False, description="Constant.")] = 5e-7
    max_tokens: Annotated[int, Field(ge=1)] = 3072
    forwarded: Annotated[int, Field(ge=1, description="Responses in one forward pass, of one process.")] = 8
    label_samples: Annotated[int, Field(ge=1, description="For the majority's label, at temperature 1.")] = 64
    train_problems: Annotated[int, Field(ge=1)] = 10_000
    test_problems: Annotated[int, Field(ge=1)] = 500
    evaluate_every: Annotated[int, Field(ge=1, description="Rollouts.")] = 10
    sampled: Annotated[int, Field(ge=0, description="avg@k at T = 0.6, at the start and the end; 0: none.")] = 8
    save_every: Annotated[int, Field(ge=1, description="Rollouts.")] = 10
    vllm: Annotated[bool, Field(description="Generate with vLLM, in the trainer's own process.")] = True
    cpu: bool = False


SMALL = Budget(
    prompts=16,
    samples=16,
    rollouts=16,
    learning_rate=5e-5,
    max_tokens=32,
    forwarded=256,
    train_problems=256,
    test_problems=200,
    evaluate_every=2,
    save_every=4,
    vllm=False,
    cpu=True,
)


class Training(Strict):
    """One training. The same settings on the same machine give the same weights."""

    model: Annotated[str, Field(min_length=1, description="A small family's name, a folder, or a name of a hub.")]
    reward: RewardSentence
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    updates: Annotated[int, Field(ge=1, description="Of the weights by a rollout; 1 is on-policy and never clips.")] = 8
    clip: Annotated[float, Field(gt=0, lt=1)] | None = 0.2
    """None: the ratio is not clipped."""
    probability: Annotated[float, Field(ge=0, le=1, description="Of the random reward.")] = 0.5
    train: str = SUMS
    test: str = SUMS
    problems: Annotated[str | None, Field(description="SHA-256 of both, where they must be those and no others.")] = (
        None
    )
    prompt: Annotated[str, Field(pattern=r"\{question\}")] = "{question}"
    chat: Annotated[bool, Field(description="The prompt is a user's message under the model's template.")] = False
    budget: Budget = Budget()

    @model_validator(mode="after")
    def _divides(self) -> Training:
        responses = self.budget.prompts * self.budget.samples
        if responses % self.updates:
            raise ValueError(f"{responses} responses of a rollout cannot be shared evenly by {self.updates} updates")
        per_update = responses // self.updates
        if per_update % min(self.budget.forwarded, per_update):
            raise ValueError(f"{per_update} responses of an update cannot be forwarded by {self.budget.forwarded}")
        return self

    def key(self, *more: str) -> str:
        """A name for the folder of this training, of its settings and what else decides it."""
        content = "\n".join((VERSION, self.model_dump_json(), *more))
        return hashlib.sha256(content.encode()).hexdigest()[:16]


OUTCOME = "outcome.json"
"""Of a training's folder, once it is done."""


class Outcome(Strict):
    """What a training leaves. `log` is trl's, a line for each rollout; `sheets` are of the test problems."""

    training: Training
    base: Annotated[str, Field(description="SHA-256 of the untrained weights.")]
    weights: Annotated[str, Field(description="SHA-256 of the trained ones.")]
    trained_on: int
    """Different problems."""
    labels: dict[str, int] = {}
    """How many majority labels are right, wrong, and missing; empty where none were needed."""
    sheets: list[Sheet]
    log: list[dict[str, Any]]
    seconds: float
    """Of its last life."""
    resumed: int = 0
    """How often it was taken up again."""

    def __str__(self) -> str:
        """From where to where, in a line."""
        first, last, training = self.sheets[0], self.sheets[-1], self.training
        return (
            f"{Path(training.model).name}, {training.reward}, seed {training.seed}: accuracy {first.accuracy:.3f} -> "
            f"{last.accuracy:.3f}, code {first.code_frequency:.3f} -> {last.code_frequency:.3f}"
        )
