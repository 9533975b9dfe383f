"""The loaded model with what requests need beside it: its tokenizer, its experts' names, its limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from services.model.engines.base import Engine
from services.model.errors import ContextLengthExceeded, UnknownModel
from services.model.experts import Experts
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
    started: int
    """Unix time in seconds."""

    def check_model(self, name: str) -> None:
        """Raises UnknownModel unless it is the one served."""
        if name != self.settings.name:
            raise UnknownModel(name, self.settings.name)

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
