"""Settings of the evaluation service: `CANDOR_EVALUATION_*`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import URL, make_url

from shared.settings import candor_home


class EvaluationSettings(BaseSettings):
    """Where the runs are kept, which endpoint they ask, and how hard."""

    model_config = SettingsConfigDict(env_prefix="CANDOR_EVALUATION_")

    gateway_url: str = "http://127.0.0.1:8080"
    """Any OpenAI-compatible endpoint, without /v1."""
    api_key: str | None = None
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
