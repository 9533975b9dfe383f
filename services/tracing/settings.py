"""Settings of the tracing service: `CANDOR_TRACING_*`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.settings import candor_home


class TracingSettings(BaseSettings):
    """Where the corpora are, how they were tokenised, and how long a text may be."""

    model_config = SettingsConfigDict(env_prefix="CANDOR_TRACING_")

    directory: Path | None = None
    """The folder of corpora; default `tracing` in the data folder."""
    tokenizer: Path | None = None
    """The tokenizer.json they were built with; default the embedded language model's."""
    blocked: Path | None = None
    """The takedown list: a file of JSON lines, each with `id`, `url` or `sha256`, and perhaps `corpus`."""
    max_characters: Annotated[int, Field(ge=1)] = 100_000
    """Code points of a text or a prompt; a longer one is refused."""

    def corpora_folder(self) -> Path:
        """The folder of corpora."""
        return self.directory or candor_home() / "tracing"

    def tokenizer_file(self) -> Path:
        """The tokenizer.json."""
        return self.tokenizer or tokenizer_in(candor_home())


def tokenizer_in(home: Path) -> Path:
    """The embedded language model's tokenizer.json in a data folder."""
    return home / "models" / "smollm2-135m-instruct" / "tokenizer.json"
