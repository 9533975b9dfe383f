"""What the model service serves: its name, family, experts and context, asked for again now and then."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from gateway.pipeline.thinking import ThinkingFamily, ThinkingTags, thinking_tags
from gateway.policy import Consent
from shared.clients.base import ServiceError
from shared.clients.model import ModelClient
from shared.contracts.model import PUBLIC
from shared.http.errors import CandorError

Result = TypeVar("Result")

FRESH_SECONDS = 5.0
LEAST_CONTEXT = 2048
"""Tokens of context to count on when the service does not say."""


@dataclass(frozen=True)
class Served:
    """The served model. `context`: tokens of prompt and answer together; `tags`: how it marks its thinking, if it
    thinks; `opens`: whether its chat template begins an answer with the thinking; `always`: experts that compute
    whatever is asked, as the public one does, and are known from the listing alone: a model that is replaced by one
    that has others is believed for as long as the listing is fresh."""

    name: str
    architecture: str
    experts: tuple[str, ...]
    context: int
    tags: ThinkingTags | None = None
    opens: bool = False
    always: tuple[str, ...] = ()

    def allowed(self, consent: Consent) -> list[str]:
        """The experts to ask for, of those it has: a registry may name some that were not built into this model.

        Those that are always on are not asked for: its masks and routing have them for a part of the public one, and
        would hide it. Raises ConsentNotApplied where one of them is of an owner who is left out.
        """
        consent.check_experts(self.always, public=self.always)
        return [expert for expert in consent.experts if expert in self.experts and expert not in self.always]


class ServedModel:
    """Remembers the answer for a few seconds, so that a model that was replaced is soon noticed.

    `families`: those that the gateway's settings add to the known ones.
    """

    def __init__(self, client: ModelClient, families: Sequence[ThinkingFamily] = ()) -> None:
        self._client, self._families = client, families
        self._known: Served | None = None
        self._until = 0.0

    async def now(self) -> Served:
        """The model as it is served. Raises ServiceError."""
        if self._known is None or time.monotonic() > self._until:
            experts, models = await self._client.experts(), await self._client.models()
            template = await self._template()
            tags = thinking_tags(experts.model, experts.architecture, template, self._families)
            lengths = [model.max_model_len for model in models.data if model.max_model_len]
            self._known = Served(
                name=experts.model,
                architecture=experts.architecture,
                experts=tuple(expert.id for expert in experts.data),
                always=tuple(expert.id for expert in experts.data if expert.public and expert.id != PUBLIC),
                context=min(lengths, default=LEAST_CONTEXT),
                tags=tags,
                opens=tags is not None and tags.opened_by(template),
            )
            self._until = time.monotonic() + FRESH_SECONDS
        return self._known

    async def _template(self) -> str:
        """The chat template; empty when the model, or its service, has none to show."""
        try:
            return (await self._client.tokenizer_info()).chat_template or ""
        except ServiceError as error:
            if error.status != 404:
                raise
            return ""

    async def current(self, work: Callable[[], Awaitable[Result]]) -> Result:
        """The work; once more, from its beginning, when it named an expert that was removed in these few seconds.

        Consent is computed anew: whoever was not asked for the first time is not asked for the second time either.
        """
        try:
            return await work()
        except (ServiceError, CandorError) as error:
            if not _removed(error):
                raise
        self._known = None
        return await work()


def _removed(error: BaseException) -> bool:
    cause = error if isinstance(error, ServiceError) else error.__cause__
    return isinstance(cause, ServiceError) and cause.code == "unknown_expert"
