"""The architectures whose experts can be masked: vLLM's own models with their routers replaced.

Names and checkpoints stay as they are. vLLM loads FlexOlmo through its transformers backend, OLMoE and Mixtral
natively; in all three each layer's experts are a MoERunner with a router, which is all that is touched.
"""

from __future__ import annotations

from typing import Any

import torch
from vllm.config import CompilationMode, CUDAGraphMode, VllmConfig
from vllm.model_executor.layers.fused_moe.runner.moe_runner import MoERunner
from vllm.model_executor.models.mixtral import MixtralForCausalLM
from vllm.model_executor.models.olmoe import OlmoeForCausalLM
from vllm.model_executor.models.transformers import TransformersMoEForCausalLM

from candor_vllm.checks import check_config
from candor_vllm.router import MaskedRouter
from candor_vllm.rows import MaskRows


class MaskedModel:
    """What the masked architectures share; comes before the model's own class."""

    mask_rows: MaskRows

    def __init__(self, *, vllm_config: VllmConfig, prefix: str = "", **rest: Any) -> None:
        """Raises ValueError when vLLM is started in a way under which masks would be ignored or misplaced."""
        check_config(vllm_config)
        super().__init__(vllm_config=vllm_config, prefix=prefix, **rest)  # type: ignore[call-arg]
        config = vllm_config.model_config.hf_text_config
        compiled = vllm_config.compilation_config
        self.mask_rows = MaskRows(
            tokens=vllm_config.scheduler_config.max_num_batched_tokens,
            experts=vllm_config.model_config.get_num_experts(),
            top_k=config.num_experts_per_tok,
            device=torch.device(vllm_config.device_config.device),
            fixed=compiled.mode != CompilationMode.NONE or compiled.cudagraph_mode != CUDAGraphMode.NONE,
        )
        for layer in _expert_layers(self):
            # as transformers: Mixtral has no such setting and always renormalises; vLLM's OLMoE never does
            renormalize = bool(getattr(config, "norm_topk_prob", True))
            layer.router = MaskedRouter(layer.router, self.mask_rows, renormalize)

    def check_masked(self) -> None:
        """Call once the weights are loaded. Raises RuntimeError if some layer would route past its mask."""
        layers = _expert_layers(self)
        if not layers:
            raise RuntimeError("the model has no layer of experts to mask")
        for layer in layers:
            if not isinstance(layer.router, MaskedRouter):
                raise RuntimeError(f"{layer.layer_name} has a router that does not mask")
            if layer.is_monolithic:
                raise RuntimeError(
                    f"{layer.layer_name} uses a kernel that routes on its own and would ignore masks; "
                    "choose another with --moe-backend"
                )

    @staticmethod
    def get_model_state_cls() -> type:
        """Runner V2's hook."""
        from candor_vllm.model_state import MaskedModelState

        return MaskedModelState


class MaskedMixtralForCausalLM(MaskedModel, MixtralForCausalLM):
    """Mixtral with per-request masks."""


class MaskedOlmoeForCausalLM(MaskedModel, OlmoeForCausalLM):
    """OLMoE with per-request masks."""


class MaskedFlexOlmoForCausalLM(MaskedModel, TransformersMoEForCausalLM):
    """FlexOlmo with per-request masks."""


def _expert_layers(model: Any) -> list[MoERunner]:
    return [module for module in model.modules() if isinstance(module, MoERunner)]
