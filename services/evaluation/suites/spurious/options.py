"""What the suite trains: models x rewards x ways of clipping x seeds, all with the same budget."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints, ValidationError

from services.evaluation.errors import BadOption, fault_in
from services.evaluation.grpo.settings import SMALL, SUMS, Budget, RewardSentence
from shared.contracts.base import Strict

ModelName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$")]
"""A small family, or a folder of CANDOR_HOME/models: a request can name no other place."""

SetName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$")]

Clipping = Literal["clipped", "on-policy", "unclipped"]

CLIPPINGS: dict[Clipping, dict[str, Any]] = {
    "clipped": {"updates": 8, "clip": 0.2},
    "on-policy": {"updates": 1, "clip": 0.2},
    "unclipped": {"updates": 8, "clip": None},
}
"""8 updates a rollout as in the paper; 1, where the ratio is 1 and nothing is ever clipped; 8 without clipping."""

REWARDS = ("ground_truth", "majority", "one_shot", "incorrect", "random", "format", "python")
"""In the paper's order of their gains on Qwen2.5-Math-7B; `python` is its compounds' part."""


def _different(found: list[str]) -> list[str]:
    if len({*found}) < len(found):
        raise ValueError("the same one stands there twice")
    return found


class SpuriousOptions(Strict):
    """Which trainings. `limit` is the number of seeds, at most `seeds`."""

    models: Annotated[list[ModelName], Field(min_length=1, max_length=20), AfterValidator(_different)] = [
        "qwen2",
        "olmo2",
    ]
    rewards: Annotated[list[RewardSentence], Field(min_length=1, max_length=50), AfterValidator(_different)] = [
        *REWARDS
    ]
    clippings: Annotated[list[Clipping], Field(min_length=1), AfterValidator(_different)] = ["clipped"]
    seeds: Annotated[int, Field(ge=1, le=1000)] = 3
    machine: Annotated[
        Literal["cpu", "gpu"], Field(description="The budget: for two CPU cores, or the paper's for GPUs.")
    ] = "cpu"
    budget: Annotated[dict[str, int | float | bool], Field(description="What differs from the machine's budget.")] = {}
    train: Annotated[SetName, Field(description="The problems that are trained on.")] = SUMS
    test: SetName = SUMS
    prompt: Annotated[str, Field(pattern=r"\{question\}")] = "{question}"
    chat: bool = False
    probability: Annotated[float, Field(ge=0, le=1, description="Of the random reward.")] = 0.5
    hours: Annotated[float, Field(gt=0, le=10_000, description="For one training.")] = 24

    def whole_budget(self) -> Budget:
        """The machine's, with what differs. Raises BadOption."""
        try:
            # strict: true is no number of rollouts
            given = (SMALL if self.machine == "cpu" else Budget()).model_dump() | self.budget
            return Budget.model_validate(given, strict=True)
        except ValidationError as error:
            raise bad_budget(error) from error


def bad_budget(error: ValidationError) -> BadOption:
    """What is wrong with a budget, in a sentence."""
    fault = error.errors()[0]
    return BadOption("budget", fault_in(".".join(map(str, ("options", "budget", *fault["loc"]))), fault))


def setting(reward: str, clipping: Clipping) -> str:
    """The name of a cell: the reward, and how it is clipped where that is not as usual."""
    return reward if clipping == "clipped" else f"{reward} ({clipping})"
