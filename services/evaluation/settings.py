"""Settings of the evaluation service: `CANDOR_EVALUATION_*`."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, StringConstraints
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import URL, make_url

from shared.contracts.base import Strict
from shared.contracts.evaluation import STACK
from shared.settings import candor_home


def _base(url: str) -> str:
    if not url.startswith(("http://", "https://")) or not _host(url):
        raise ValueError("an address begins with http:// or https:// and a host, perhaps with a port")
    parts = urlsplit(url)
    # it stands in warnings, versions and reports, which anyone may read
    if "@" in parts.netloc:
        raise ValueError("put the key in api_key, not in the address")
    if parts.query or parts.fragment:
        raise ValueError("an address ends with its path: put a key in api_key, not in the address")
    if url.rstrip("/").endswith("/v1"):
        raise ValueError("an address is named without /v1 at its end")
    return url.rstrip("/")


def _host(url: str) -> str | None:
    """None as well where the port is no number."""
    try:
        parts = urlsplit(url)
        return parts.hostname if parts.port is None or parts.port else None
    except ValueError:
        return None


def _not_the_stack(name: str) -> str:
    if name == STACK:
        raise ValueError(f"{STACK!r} is the name of the stack itself, which CANDOR_EVALUATION_GATEWAY_URL names")
    return name


EndpointName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"), AfterValidator(_not_the_stack)
]


class NamedEndpoint(Strict):
    """An endpoint that runs can name."""

    url: Annotated[str, AfterValidator(_base)]
    """Without /v1."""
    api_key: SecretStr | None = None
    model: Annotated[str | None, StringConstraints(min_length=1)] = None
    """The model to ask for. An endpoint with one is any OpenAI-compatible server; one without is a Candor stack."""


class EvaluationSettings(BaseSettings):
    """Where the runs are kept, which endpoint they ask, and how hard."""

    model_config = SettingsConfigDict(env_prefix="CANDOR_EVALUATION_", env_ignore_empty=True, hide_input_in_errors=True)

    gateway_url: Annotated[str, AfterValidator(_base)] = "http://127.0.0.1:8080"
    """The stack, without /v1."""
    api_key: SecretStr | None = None
    endpoints: dict[EndpointName, NamedEndpoint] = {}
    """Further ones, as JSON: what a run, or a judge in it, can ask instead."""
    database_url: str | None = None
    """SQLite or PostgreSQL; default evaluation.db in the data folder."""
    runs: Annotated[int, Field(ge=1)] = 1
    """Runs at the same time; further ones are queued."""
    concurrency: Annotated[int, Field(ge=1)] = 4
    """Items of a run at the same time."""
    request_timeout: Annotated[float, Field(gt=0)] = 300.0
    """Seconds for one answer."""
    patience: Annotated[float, Field(ge=0)] = 60.0
    """Seconds an item is tried again while the endpoint is down or overloaded."""
    failure_rate: Annotated[float, Field(ge=0, le=1)] = 0.2
    """A run with a larger share of failed items stops."""
    failures_after: Annotated[int, Field(ge=1)] = 20
    """Items that must be done before the failure rate counts."""

    def database(self) -> URL:
        """The database of runs, items and events, with the driver that is installed."""
        return _with_driver(make_url(self.database_url or f"sqlite:///{candor_home() / 'evaluation.db'}"))

    def jobs_database(self) -> URL:
        """DBOS's own tables: a file beside the SQLite database; in PostgreSQL the same database, schema `dbos`."""
        url = self.database()
        if url.get_backend_name() != "sqlite" or not url.database:
            return url
        return url.set(database=url.database.removesuffix(".db") + "-jobs.db")


def _with_driver(url: URL) -> URL:
    return url.set(drivername="postgresql+psycopg") if url.get_backend_name() in ("postgres", "postgresql") else url
