"""The endpoints that runs can ask, by name: this stack, and those that the operator's settings name.

A request brings a name and never an address: else a run would call, with our keys or from inside our network, whatever
its author likes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from services.evaluation.endpoint import Endpoint
from services.evaluation.errors import UnknownEndpoint
from services.evaluation.settings import EvaluationSettings, NamedEndpoint
from shared.contracts.evaluation import STACK

_BESIDE = "endpoint "

_KIND = "asked as"


class Endpoints:
    """Looks endpoints up, and opens one for a run."""

    def __init__(self, settings: EvaluationSettings) -> None:
        own = NamedEndpoint(url=settings.gateway_url, api_key=settings.api_key)
        self._known: Mapping[str, NamedEndpoint] = {STACK: own, **settings.endpoints}
        self._timeout, self._patience = settings.request_timeout, settings.patience

    def named(self, name: str) -> NamedEndpoint:
        """What the settings say of it. Raises UnknownEndpoint."""
        if name not in self._known:
            raise UnknownEndpoint(name, self._known)
        return self._known[name]

    def beside(self, names: Iterable[str]) -> dict[str, str]:
        """As versions: which model each of these is, that are asked beside the one measured. Raises UnknownEndpoint."""
        found = {name: self.named(name) for name in names}
        return {f"{_BESIDE}{name}": f"{one.model} at {one.url}" for name, one in found.items()}

    def kind(self, name: str) -> dict[str, str]:
        """As versions: what it is asked as, which a plan is made for; nothing of the stack itself."""
        model = self.named(name).model
        return {} if name == STACK else {_KIND: "a Candor stack" if model is None else f"a server of {model}"}

    def sent_to(self, name: str, beside: Iterable[str]) -> list[str]:
        """What a run's warnings say of where its texts go, for each endpoint but the stack itself."""
        urls = [self.named(one).url for one in (name, *beside) if one != STACK]
        return [f"What is asked, with the texts in it, is sent to {url}." for url in dict.fromkeys(urls)]

    def named_in(self, versions: Iterable[str]) -> list[str]:
        """Those of which `beside` gave these versions."""
        return [name.removeprefix(_BESIDE) for name in versions if name.startswith(_BESIDE)]

    def open(self, name: str, run: str) -> Endpoint:
        """To be used in `async with`. Raises UnknownEndpoint."""
        found = self.named(name)
        return Endpoint(
            found.url,
            run=run,
            api_key=found.api_key.get_secret_value() if found.api_key else None,
            timeout=self._timeout,
            patience=self._patience,
            model=found.model,
            beside=lambda other: self.open(other, run),
        )
