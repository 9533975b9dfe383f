"""What tests/contract promises of the model service, promised of it with vLLM as its engine."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi import FastAPI

from services.model.app import create_app
from services.model.settings import ModelSettings
from tests.contract import test_model_api, test_model_completions, test_model_load, test_model_refusals
from tests.contract.model_server import client, server

__all__ = ["client", "server"]

NOT_ABOUT_AN_ENGINE = {
    # look into the other engine; tests/vllm/test_engine.py has their like
    "test_a_client_that_goes_away_frees_its_place",
    "test_a_client_that_goes_away_takes_its_scoring_along",
    "test_a_full_queue_is_a_429_that_says_when_to_try_again",
    # vLLM's samples have a step in common, and come one by one from it
    "test_samples_that_end_in_one_step_come_in_one_chunk",
    # loads no engine at all
    "test_a_service_without_its_model_says_why_and_answers_503",
}

globals().update(
    {
        name: promise
        for module in (test_model_api, test_model_completions, test_model_load, test_model_refusals)
        for name, promise in vars(module).items()
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
