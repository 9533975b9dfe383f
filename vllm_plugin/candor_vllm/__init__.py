"""Per-request expert masks inside one continuous batch of vLLM (docs/vllm.md).

A distribution of its own, with an environment of its own: vLLM's pins clash with Candor's. It imports nothing of
Candor's packages. Importing `candor_vllm`, `.mask` and `.statistics` imports neither vLLM nor torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vllm import AsyncEngineArgs
    from vllm.config import VllmConfig

TOP = 20
"""How many of the most probable tokens a request for statistics may ask for by default."""


def engine_args(model: str, **overrides: Any) -> AsyncEngineArgs:
    """vLLM's arguments for serving the checkpoint in the directory `model` with masks; `overrides` win.

    Raises ValueError when the checkpoint's candor.json does not fit it.
    """
    from transformers import AutoConfig
    from vllm import AsyncEngineArgs

    from candor_vllm.mask import public_experts
    from candor_vllm.plugin import WORKER
    from candor_vllm.statistics import columns

    config = AutoConfig.from_pretrained(model)
    experts = getattr(config, "num_local_experts", None) or config.num_experts
    public_experts(model, experts)
    chosen = {
        "worker_cls": WORKER,
        "max_logprobs": columns(experts) + TOP,
        "enable_prefix_caching": True,
        "enforce_eager": True,
    }
    return AsyncEngineArgs(model=model, **(chosen | overrides))


def require_active(vllm_config: VllmConfig) -> None:
    """Call before taking requests: raises when masks would be ignored (see `candor_vllm.checks`)."""
    from candor_vllm.checks import require_active as require

    require(vllm_config)
