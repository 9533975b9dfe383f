"""Whether a vLLM is set up so that masks hold; if not, it must not start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from candor_vllm.plugin import ARCHITECTURES, WORKER

if TYPE_CHECKING:
    from vllm.config import VllmConfig


class NotActive(RuntimeError):
    """The plugin, or a part of it, is not at work: masks would be ignored."""


def require_active(vllm_config: VllmConfig) -> None:
    """Call in the process that takes requests, before it takes any. Raises NotActive, ValueError."""
    from vllm.model_executor.models.registry import ModelRegistry
    from vllm.v1.engine.input_processor import InputProcessor

    architecture = masked_architecture(vllm_config)
    if architecture is None:
        raise NotActive(
            f"{vllm_config.model_config.model} is a {', '.join(vllm_config.model_config.architectures)}; "
            f"masks are for {', '.join(ARCHITECTURES)}."
        )
    registered = ModelRegistry.models.get(architecture)
    if getattr(registered, "module_name", None) != ARCHITECTURES[architecture].split(":")[0]:
        raise NotActive(
            f"{architecture} is vLLM's own, not candor_vllm's. Is candor-vllm installed, and VLLM_PLUGINS unset?"
        )
    if not hasattr(InputProcessor.process_inputs, "checks_masks"):
        raise NotActive("Requests are not checked for masks: the plugin candor was not loaded in this process.")
    check_config(vllm_config)


def masked_architecture(vllm_config: VllmConfig) -> str | None:
    """The model's architecture if it is one whose experts can be masked."""
    found = [name for name in vllm_config.model_config.architectures if name in ARCHITECTURES]
    return found[0] if found else None


def check_config(vllm_config: VllmConfig) -> None:
    """Raises NotActive for a worker that lays no masks, ValueError for a feature that would misplace them."""
    from vllm.config import CompilationMode

    parallel = vllm_config.parallel_config
    if not vllm_config.use_v2_model_runner and parallel.worker_cls != WORKER:
        raise NotActive(
            f"A model whose experts can be masked needs --worker-cls {WORKER}; "
            f"with {parallel.worker_cls} every request would reach every expert."
        )
    refused = {
        "torch.compile on a CPU (use --enforce-eager)": not vllm_config.use_v2_model_runner
        and vllm_config.compilation_config.mode != CompilationMode.NONE,
        "data parallelism": parallel.data_parallel_size > 1,
        "pipeline parallelism": parallel.pipeline_parallel_size > 1,
        "prefill context parallelism": parallel.prefill_context_parallel_size > 1,
        "sequence parallelism of experts": parallel.use_sequence_parallel_moe,
        "expert load balancing": parallel.enable_eplb,
        "micro-batches": parallel.enable_dbo,
        "speculative decoding": vllm_config.speculative_config is not None,
        "LoRA": vllm_config.lora_config is not None,
        "a transfer of keys and values": vllm_config.kv_transfer_config is not None,
    }
    if wrong := [name for name, on in refused.items() if on]:
        raise ValueError(f"Not supported with masked experts: {', '.join(wrong)}. Start vLLM without.")
