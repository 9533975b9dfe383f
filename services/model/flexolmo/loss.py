"""Next-token loss that never holds the logits of a whole batch."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from services.model.flexolmo.families import CausalLM

# 128 rows of 49,152 fp32 logits are 25 MB: small enough that the C allocator keeps and reuses the memory.
# Logits of a whole batch are fresh pages each time, and their faults cost a quarter of a training step.
_ROWS = 128


def next_token_loss(model: CausalLM, tokens: Tensor, learnt: Tensor | None = None) -> Tensor:
    """Mean negative log-likelihood (nats, fp32 scalar) of tokens 2..n of each row of ``tokens`` (batch, n).

    With ``learnt`` (batch, n), bool, of those tokens only; rows may then be padded at their right. Gradients reach the
    hidden states only: the output matrix is shared, and so frozen.
    """
    states = model.model(input_ids=tokens, use_cache=False).last_hidden_state[:, :-1]
    flat, targets = states.flatten(0, 1), tokens[:, 1:].flatten()
    if learnt is not None:
        chosen = learnt[:, 1:].flatten()
        flat, targets = flat[chosen], targets[chosen]
    loss: Tensor = _FrozenHeadLoss.apply(flat, model.lm_head.weight.detach(), targets)  # type: ignore[no-untyped-call]
    return loss


class _FrozenHeadLoss(Function):
    """Cross-entropy of ``states @ head.T``, with the gradient for the states computed on the way forward."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, head: Tensor, targets: Tensor) -> Tensor:
        gradient = torch.empty_like(states)
        total = torch.zeros((), dtype=torch.float32, device=states.device)
        for start in range(0, len(states), _ROWS):
            rows = slice(start, start + _ROWS)
            target = targets[rows].unsqueeze(-1)
            logits = (states[rows] @ head.T).float()
            logits -= logits.logsumexp(-1, keepdim=True)
            total -= logits.gather(-1, target).sum()
            residual = logits.exp_()
            residual.scatter_add_(-1, target, torch.full_like(target, -1, dtype=residual.dtype))
            gradient[rows] = (residual / len(states)).to(head.dtype) @ head
        ctx.save_for_backward(gradient)
        return total / len(states)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * upstream[0].to(gradient.dtype), None, None
