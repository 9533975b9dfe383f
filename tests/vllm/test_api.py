"""What tests/contract/test_model_api.py promises of the model service, promised of it with vLLM as its engine."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi import FastAPI

from services.model.app import create_app
from services.model.settings import ModelSettings
from tests.contract import test_model_api as promises
from tests.contract.test_model_api import client, server

__all__ = ["client", "server"]

NOT_ABOUT_AN_ENGINE = {
    # looks into the other engine; tests/vllm/test_engine.py has its like
    "test_a_client_that_goes_away_frees_its_place",
    # loads no engine at all
    "test_a_service_without_its_model_says_why_and_answers_503",
}

globals().update(
    {
        name: promise
        for name, promise in vars(promises).items()
        if name.startswith("test_") and name not in NOT_ABOUT_AN_ENGINE
    }
)


@pytest.fixture(scope="module")
def checkpoint(vllm_checkpoint: Path) -> Path:
    return vllm_checkpoint


@pytest.fixture(scope="module")
def app(vllm_checkpoint: Path, host: Path) -> FastAPI:
    return create_app(
        ModelSettings(directory=vllm_checkpoint, engine="vllm", vllm_address=f"unix:{host}", max_batch=4, max_queue=3)
    )
