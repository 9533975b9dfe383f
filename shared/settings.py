"""What every service's settings share: the data folder, and the naming of environment variables."""

from __future__ import annotations

from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict


class Home(BaseSettings):
    """`CANDOR_HOME`: where models, texts, indexes and databases lie."""

    model_config = SettingsConfigDict(env_prefix="CANDOR_")

    home: Path = Path("~/.cache/candor")

    def path(self) -> Path:
        """The data folder, absolute."""
        return self.home.expanduser().resolve()


def candor_home() -> Path:
    """The data folder of this process's environment."""
    return Home().path()
