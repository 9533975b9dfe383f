"""What vLLM calls in each of its processes (entry point ``vllm.general_plugins``); may be called again."""

from __future__ import annotations

_MODELS = "candor_vllm.models"
ARCHITECTURES = {
    "MixtralForCausalLM": f"{_MODELS}:MaskedMixtralForCausalLM",
    "OlmoeForCausalLM": f"{_MODELS}:MaskedOlmoeForCausalLM",
    "FlexOlmoForCausalLM": f"{_MODELS}:MaskedFlexOlmoForCausalLM",
}
"""By the name a checkpoint gives itself, the class that serves it."""
WORKER = "candor_vllm.worker.MaskedWorker"


def register() -> None:
    """Serve the architectures by their masked classes, check every request's mask, wipe memory between requests."""
    from vllm.model_executor.models.registry import ModelRegistry

    from candor_vllm.front import check_requests
    from candor_vllm.memory import wipe_blocks

    for architecture, cls in ARCHITECTURES.items():
        ModelRegistry.register_model(architecture, cls)
    check_requests()
    wipe_blocks()
