"""Settings of the tracing service: `CANDOR_TRACING_*`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.settings import candor_home


class TracingSettings(BaseSettings):
    """Where the corpora are, how they were tokenised, and how long a text may be."""

    model_config = SettingsConfigDict(env_prefix="CANDOR_TRACING_")

    directory: Path | None = None
    """The folder of corpora; default `tracing` in the data folder."""
    tokenizer: Path | Literal["bytes"] | None = None
    """The tokenizer.json that they are built with, or `bytes`; default the embedded language model's."""
    blocked: Path | None = None
    """The takedown list: a file of JSON lines, each with `id`, `url` or `sha256`, and perhaps `corpus`."""
    max_characters: Annotated[int, Field(ge=1)] = 100_000
    """Code points of a text or a prompt; a longer one is refused."""

    def corpora_folder(self, home: Path | None = None) -> Path:
        """The folder of corpora; `home` is the data folder, CANDOR_HOME's by default."""
        return self.directory or (home or candor_home()) / "tracing"

    def tokenizer_file(self, home: Path | None = None) -> Path | None:
        """The tokenizer.json; None for bytes. `home` as above."""
        if self.tokenizer == "bytes":
            return None
        return Path(self.tokenizer) if self.tokenizer else tokenizer_in(home or candor_home())


def tokenizer_in(home: Path) -> Path:
    """The embedded language model's tokenizer.json in a data folder."""
    return home / "models" / "smollm2-135m-instruct" / "tokenizer.json"
