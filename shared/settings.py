"""What every service's settings share: the data folder, and the naming of environment variables."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict


class Home(BaseSettings):
    """`CANDOR_HOME`: where models, texts, indexes and databases lie. `CANDOR_OWNERS`: the registry of owners.

    One registry for every service: two that disagree would be two consents.
    """

    model_config = SettingsConfigDict(env_prefix="CANDOR_")

    home: Path = Path("~/.cache/candor")
    owners: Path = Path(__file__).resolve().parents[1] / "owners.yaml"

    def path(self) -> Path:
        """The data folder, absolute."""
        return self.home.expanduser().resolve()


def owners_file() -> Path:
    """The registry of owners of this process's environment."""
    return Home().owners


def candor_home() -> Path:
    """The data folder of this process's environment."""
    return Home().path()


def cores() -> int:
    """The cores this process may use, which a container or `taskset` makes fewer than the machine's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
