"""The router of a masked layer: softmax over the experts that a token's request allows."""

from __future__ import annotations

import torch
from vllm.model_executor.layers.fused_moe.config import RoutingMethodType
from vllm.model_executor.layers.fused_moe.router.base_router import BaseRouter
from vllm.model_executor.layers.fused_moe.router.cpu_router import CPURouter
from vllm.model_executor.layers.fused_moe.router.fused_topk_router import FusedTopKRouter

from candor_vllm.rows import MaskRows

_NEVER = float("-inf")


class MaskedRouter(BaseRouter):
    """Takes the place of a softmax top-k router; masked is the same as physically removed, k = min(k, allowed)."""

    def __init__(self, inner: BaseRouter, rows: MaskRows, renormalize: bool) -> None:
        """`renormalize`: whether the weights of the chosen experts sum to one (``norm_topk_prob``).

        Raises ValueError for a router with any other rule than softmax and top-k.
        """
        plain = isinstance(inner, FusedTopKRouter) or (
            isinstance(inner, CPURouter) and not inner.use_grouped_topk and inner.custom_routing_function is None
        )
        if not plain or inner.scoring_func != "softmax" or inner.eplb_state is not None:
            raise ValueError(f"{type(inner).__name__} does not route by softmax and top-k alone; it cannot be masked.")
        super().__init__(top_k=inner.top_k, global_num_experts=inner.global_num_experts)
        self._method = inner.routing_method_type
        self._rows = rows
        self._renormalize = renormalize
        rows.layers += 1

    @property
    def routing_method_type(self) -> RoutingMethodType:
        """What kernels are chosen by; those that route on their own are refused elsewhere."""
        return self._method

    def _compute_routing(
        self,
        hidden_states: torch.Tensor,  # noqa: ARG002
        router_logits: torch.Tensor,
        indices_type: torch.dtype | None,
        *,
        input_ids: torch.Tensor | None = None,  # noqa: ARG002
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Weights (tokens, k) fp32 and experts (tokens, k) from router logits (tokens, experts)."""
        rows, tokens = self._rows, router_logits.shape[0]
        logits = router_logits.float()
        if rows.masking:
            # filled, not added to: the logit of a poisoned expert is NaN, and NaN - inf is NaN
            logits = logits.masked_fill(rows.forbidden[:tokens], _NEVER)
        values, experts = torch.topk(logits, self.top_k, dim=-1)
        if self._renormalize:
            weights = torch.softmax(values, dim=-1)
        else:
            weights = (values - torch.logsumexp(logits, dim=-1, keepdim=True)).exp()
        if rows.redirecting:
            # a slot left over has weight 0, but 0 * NaN is NaN: let it point to the best allowed expert
            experts = torch.where(values == _NEVER, experts[:, :1], experts)
        if rows.collecting or rows.traces.layers is not None:
            probabilities = torch.softmax(logits, dim=-1)
            if rows.collecting:
                rows.routing[:tokens] += probabilities
            if rows.traces.layers is not None:
                rows.traces.layers.append((probabilities, experts))
        return weights, experts.to(torch.int32 if indices_type is None else indices_type)
