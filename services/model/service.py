"""The loaded model with what requests need beside it: its tokenizer, its experts' names, its limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from services.model.engines.base import Engine
from services.model.errors import ContextLengthExceeded, UnknownModel
from services.model.experts import Experts
from services.model.protected import ProtectedTexts
from services.model.settings import ModelSettings
from shared.contracts.model import AppliedMask
from shared.http.errors import InvalidRequest

if TYPE_CHECKING:
    from services.model.engines.tokenizer import Tokenizer


@dataclass(frozen=True)
class ModelService:
    """What the routes work with once the model is loaded."""

    engine: Engine
    tokenizer: Tokenizer
    experts: Experts
    settings: ModelSettings
    protected: ProtectedTexts
    started: int
    """Unix time in seconds."""

    def added(self, name: str) -> list[str]:
        """The experts that a model's name adds: `NAME+EXPERT+...` is the served model with these experts.

        For clients that can send no field of ours. Raises UnknownModel, UnknownExpert.
        """
        served = self.settings.name
        if name == served:
            return []
        if not name.startswith(served + "+"):
            raise UnknownModel(name, served)
        added = name.removeprefix(served + "+").split("+")
        self.experts.mask(added, "model")
        return added

    def mask(self, name: str, experts: Sequence[str] | None, field: str) -> frozenset[int]:
        """The experts that may compute for a request: those of its `field`, or those that its model's name adds.

        Raises UnknownModel, UnknownExpert, and InvalidRequest when both name experts.
        """
        added = self.added(name)
        if added and experts is not None:
            raise InvalidRequest(f"The model's name and {field} both name experts. Name them once.", field=field)
        return self.experts.mask(added if experts is None else experts, field)

    def check_tokens(self, tokens: Sequence[int], field: str) -> None:
        """Raises InvalidRequest for no token, or one outside the vocabulary."""
        size = self.engine.info.vocabulary
        if not tokens:
            raise InvalidRequest(f"{field} has no token to begin with.", field=field)
        for token in tokens:
            if not 0 <= token < size:
                raise InvalidRequest(f"{field} has token {token}; the vocabulary has {size}.", field=field)

    def new_tokens(self, prompt: int, asked: int | None, field: str) -> int:
        """How many tokens may be generated after a prompt of this length. Raises ContextLengthExceeded."""
        limit = self.engine.info.max_length
        if prompt + (asked or 1) > limit:
            raise ContextLengthExceeded(limit, prompt, asked or 1, field)
        return asked or min(self.settings.default_max_tokens, limit - prompt)

    def applied(self, mask: frozenset[int]) -> AppliedMask:
        """What a response says of the mask it was computed under."""
        return AppliedMask(experts=self.experts.names(mask), vocabulary=self.engine.info.vocabulary)
