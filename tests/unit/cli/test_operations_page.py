"""docs/operations.md names every setting there is, and none that there is not."""

import re
from pathlib import Path

from pydantic_settings import BaseSettings

from gateway.settings import GatewaySettings
from services.evaluation.settings import EvaluationSettings
from services.model.settings import ModelSettings
from services.retrieval.settings import RetrievalSettings
from services.tracing.settings import TracingSettings
from shared.settings import Home

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "operations.md").read_text(encoding="utf-8")
ALL: list[type[BaseSettings]] = [
    Home,
    GatewaySettings,
    ModelSettings,
    RetrievalSettings,
    TracingSettings,
    EvaluationSettings,
]
SETTINGS = PAGE.partition("\n## Settings\n")[2].partition("\n## ")[0]


def test_the_table_of_settings_is_the_code_s() -> None:
    told = set(re.findall(r"^\| `(CANDOR_\w+)`", SETTINGS, re.M)) - {"CANDOR_URL"}
    read = {
        f"{settings.model_config['env_prefix']}{field.upper()}" for settings in ALL for field in settings.model_fields
    }
    assert told == read


def test_numbers_and_addresses_are_the_code_s_defaults() -> None:
    for settings in ALL:
        for name, field in settings.model_fields.items():
            default = f"{field.default:g}" if isinstance(field.default, int | float) else field.default
            if isinstance(default, str) and default:
                row = f"| `{settings.model_config['env_prefix']}{name.upper()}` | `{default}` |"
                assert row in SETTINGS, row
