"""What can be set from outside: environment variables with the prefix CANDOR_RETRIEVAL_."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.retrieval.encoders.base import DEFAULT
from shared.settings import candor_home


class RetrievalSettings(BaseSettings):
    """Settings of the retrieval service."""

    model_config = SettingsConfigDict(env_prefix="CANDOR_RETRIEVAL_")

    directory: Path | None = None
    """The folder of datastores; default `retrieval` in the data folder."""
    encoder: str = DEFAULT
    """The encoder of queries, and of what is built: a folder of CANDOR_HOME/models."""
    exact_encoder: str = ""
    """The second encoder of what is built, for exact scores, as `candor data build --exact` names it; searches need no
    setting."""
    model_url: str = "http://127.0.0.1:8081"
    """The model service, which rewrites queries and judges passages for requests that ask for it."""
    threads: Annotated[int, Field(ge=1)] = 4
    """Searches at the same time; further ones wait."""
    queue: Annotated[int, Field(ge=1)] = 256
    """Searches that may wait; further ones are refused with 429."""
    build_threads: Annotated[int, Field(ge=1)] | None = None
    """Threads that embed while building; as many as there are processors if not set."""

    def datastores(self) -> Path:
        """The folder of datastores."""
        return self.directory or candor_home() / "retrieval"
