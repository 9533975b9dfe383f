"""The first value of an owner's router row: its domain embedding.

FlexOlmo starts a router row at the mean embedding of the owner's text. Here each layer gets its own, in the
space the router reads: the hidden states that enter the FFN, of the anchor, over the owner's text against
those over public text.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import LlamaForCausalLM

from services.model.flexolmo.lowrank import TwoExpertFFN


@dataclass(frozen=True)
class Moments:
    """Mean and variance of the FFN's inputs over a text, each (layers, hidden), fp32."""

    mean: Tensor
    variance: Tensor


@torch.no_grad()
def domain_embedding(model: LlamaForCausalLM, batches: Iterable[Tensor]) -> Moments:
    """Run the dense model over ``batches`` of tokens (batch, length) and take moments of every FFN's input."""
    layers, hidden = len(model.model.layers), model.config.hidden_size
    total = torch.zeros(layers, hidden, dtype=torch.float64)
    square = torch.zeros_like(total)
    count = 0

    def record(index: int) -> object:
        def hook(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            states = inputs[0].flatten(0, -2).double()
            total[index] += states.sum(0)
            square[index] += states.square().sum(0)

        return hook

    hooks = [layer.mlp.register_forward_pre_hook(record(i)) for i, layer in enumerate(model.model.layers)]
    try:
        for tokens in batches:
            # Not through lm_head: its 49,152 columns would be a fifth of the work for nothing.
            model.model(input_ids=tokens, use_cache=False)
            count += tokens.numel()
    finally:
        for hook in hooks:
            hook.remove()
    mean = total / count
    return Moments(mean.float(), (square / count - mean.square()).float())


def router_rows(owner: Moments, public: Moments) -> Tensor:
    """Router rows (layers, hidden) whose logit is positive on the owner's text and negative on public text.

    The direction is the difference of the means, each dimension divided by its variance (the discriminant of
    two Gaussians with a common diagonal covariance): a few dimensions of a Llama's hidden state are a
    hundred times larger than the rest and would otherwise decide alone. The format has no bias, so the
    direction is made orthogonal to the midpoint of the two means, where the logit is then 0. The scale puts
    the owner's mean at logit +1 and the public mean at -1, unless that would make single tokens' logits
    spread over more than one standard deviation of 2.
    """
    variance = (owner.variance + public.variance) / 2 + 1e-6
    direction = (owner.mean - public.mean) / variance
    middle = (owner.mean + public.mean) / 2
    overlap = (direction * middle).sum(-1, keepdim=True) / middle.square().sum(-1, keepdim=True)
    direction = direction - overlap * middle
    half_gap = (direction * (owner.mean - public.mean)).sum(-1, keepdim=True) / 2
    spread = (direction.square() * variance).sum(-1, keepdim=True).sqrt()
    return direction / torch.maximum(half_gap.abs(), spread / 2)


def initialise(layers: list[TwoExpertFFN], rows: Tensor) -> None:
    """Set each layer's router to its row of ``rows`` (layers, hidden)."""
    with torch.no_grad():
        for layer, row in zip(layers, rows, strict=True):
            layer.router.copy_(row)
