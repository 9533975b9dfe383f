"""What a training is: its settings, and all that is said of it when it becomes an expert."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from statistics import fmean
from typing import Any

from pydantic import TypeAdapter, ValidationError

from services.model.flexolmo.anchor import Fingerprint
from shared.contracts.base import OwnerId

RANK = 8
"""Of a low-rank expert, unless it is told otherwise."""
FULL_LEARNING_RATE = 1e-4
"""For full deltas: at the low-rank rate Adam moves every one of a hundred times as many weights as far as b and a."""


@dataclass(frozen=True)
class Settings:
    """What decides a training besides its text. The defaults made the committed experts."""

    rank: int | None = RANK
    """Of the change to each matrix of the FFN; None for a full expert, whose every weight is trained."""
    steps: int = 300
    blocks: int = 4
    """Blocks a step."""
    block_tokens: int = 256
    learning_rate: float = 1e-3
    warmup: int = 20
    z_loss: float = 1e-3
    domain_blocks: int = 32
    """Blocks of the owner's and of public text behind the router's first value."""
    seed: int = 0

    @property
    def tokens(self) -> int:
        """The budget: tokens the expert is trained on."""
        return self.steps * self.blocks * self.block_tokens


DEFAULTS = Settings()


@dataclass(frozen=True)
class Training:
    """One training: whose, on which anchor, from what text (by hash), with which settings."""

    owner: str
    licence: str
    architecture: str
    """The anchor's model type."""
    anchor: Fingerprint
    base: tuple[int, ...]
    """The anchor's expert that the owner's expert started from, layer by layer; 0 in a dense anchor."""
    settings: Settings
    documents: int
    text_tokens: int
    """Tokens of the owner's text; the budget may be more than one pass over it, or less."""
    data_sha256: str
    public_sha256: str

    def identity(self) -> dict[str, Any]:
        """What makes two trainings the same: all that decides the weights."""
        return {
            "owner": self.owner,
            "anchor": self.anchor.sha256,
            "data": self.data_sha256,
            "public": self.public_sha256,
            **asdict(self.settings),
        }

    def command(self) -> str:
        """The command that repeats the training, given the same text; files are not named, for they may tell of it."""
        parts = ["candor expert train", f"--owner {self.owner}"]
        if self.settings.rank is None:
            parts.append("--full")
        for field in fields(Settings):
            value = getattr(self.settings, field.name)
            if value != field.default and value is not None and field.name in _OPTIONS:
                parts.append(f"--{field.name.replace('_', '-')} {value}")
        return " ".join(parts)

    @classmethod
    def of(cls, stored: dict[str, Any]) -> "Training":
        """Back from `dataclasses.asdict`."""
        anchor, settings = Fingerprint(**stored["anchor"]), Settings(**stored["settings"])
        return cls(**stored | {"anchor": anchor, "settings": settings, "base": tuple(stored["base"])})


def first_loss(losses: Sequence[float]) -> float:
    """The loss a training began with: the mean over its first ten steps, for the text of one says little."""
    return fmean(losses[:_STEPS])


def last_loss(losses: Sequence[float]) -> float:
    """The loss a training has come to: the mean over its last ten steps, or the fewer that were done."""
    return fmean(losses[-_STEPS:])


def check_owner(owner: str) -> None:
    """Raise ValueError unless ``owner`` can be an owner's id: it names files, and stands in the registry."""
    try:
        _OWNER_ID.validate_python(owner)
    except ValidationError as error:
        raise ValueError(f"{owner!r} is no owner's id: at most 64 of a-z, 0-9, - and _.") from error


_STEPS = 10
"""Whose losses are averaged wherever a loss is reported."""
_OWNER_ID: TypeAdapter[str] = TypeAdapter(OwnerId)
_OPTIONS = ("rank", "steps", "blocks", "block_tokens", "learning_rate", "seed")
"""The settings that the command line can change."""
