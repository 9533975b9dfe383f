"""Settings of the model service: `CANDOR_MODEL_*`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

Positive = Annotated[int, Field(ge=1)]


class ModelSettings(BaseSettings):
    """Which model is served, and how much at once."""

    model_config = SettingsConfigDict(env_prefix="CANDOR_MODEL_")

    directory: Path | None = None
    """A checkpoint in transformers' format; default the embedded model, built in the data folder if need be."""
    engine: Literal["transformers", "vllm"] = "transformers"
    """What computes. vLLM needs one of the two settings below."""
    vllm_python: Path | None = None
    """The Python of an environment with vLLM and `vllm_plugin`: the service starts a vLLM host with it."""
    vllm_address: str | None = None
    """Where a vLLM host runs already, unix:PATH or tcp:HOST:PORT."""
    vllm_arguments: dict[str, Any] = {}
    """Engine arguments of vLLM's own for the host that the service starts, as JSON: {"tensor_parallel_size": 2}."""
    experts: Path | None = None
    """Where experts that were added or removed while serving are kept; default `experts` in the data folder."""
    max_expert_megabytes: Positive = 1024
    """The largest file of an expert that is taken."""
    removal_seconds: Annotated[float, Field(ge=0)] = 30
    """How long requests under way may go on with an expert that is removed."""
    name: str = "candor"
    """What clients call the model."""
    dtype: Literal["auto", "bfloat16", "float32"] = "auto"
    """auto: bfloat16 where the processor multiplies it, else float32, which is then several times as fast."""
    threads: Positive | None = None
    """Torch's threads; default torch's own, which heeds OMP_NUM_THREADS. On a busy machine fewer are faster."""
    max_length: Positive | None = None
    """Tokens of prompt and answer; default what the model was made for."""
    default_max_tokens: Positive = 512
    """New tokens of a chat answer when the request does not say."""
    max_batch: Positive = 64
    """Samples computed at once."""
    max_queue: Positive = 64
    """Requests that wait; the next one is refused with 429."""
    cache_slots: Positive = 65_536
    """Samples times the tokens of the longest: the memory of keys and values (23 KB each, embedded; 46 in float32)."""
    prefix_megabytes: Annotated[int, Field(ge=0)] = 256
    """Memory for the keys and values of recent prompts."""
