"""Where an owner's expert starts: its router row at the owner's domain embedding, and which expert it copies.

FlexOlmo starts a router row at the mean embedding of the owner's text. Here each layer gets its own, in the
space the router reads: the hidden states that enter the FFN, of the anchor, over the owner's text against
those over public text. In an anchor that is a mixture, the owner's expert starts as a copy of the expert that
the owner's text is routed to most, layer by layer, and its row at that expert's row plus the domain embedding.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from services.model.flexolmo.blocks import OwnerBlock
from services.model.flexolmo.families import CausalLM


@dataclass(frozen=True)
class Moments:
    """What an anchor makes of a text, layer by layer."""

    mean: Tensor
    """Of the FFN's inputs, (layers, hidden), fp32."""
    variance: Tensor
    """Of the FFN's inputs, (layers, hidden), fp32."""
    routed: Tensor
    """The router's weight on each expert, summed over tokens, (layers, experts), fp64; one expert when dense."""

    @property
    def favourite(self) -> tuple[int, ...]:
        """The expert that the text is routed to most, in each layer."""
        return tuple(self.routed.argmax(-1).tolist())


@torch.no_grad()
def domain_embedding(model: CausalLM, batches: Iterable[Tensor]) -> Moments:
    """Run the anchor over ``batches`` of tokens (batch, length); moments of every FFN's input, and its routing."""
    blocks: list[Any] = [layer.mlp for layer in model.model.layers]
    total = torch.zeros(len(blocks), model.config.hidden_size, dtype=torch.float64, device=model.device)
    square, count = torch.zeros_like(total), 0
    routers = [block.gate for block in blocks if hasattr(block, "experts")]
    routed = total.new_zeros(len(blocks), routers[0].num_experts if routers else 1)

    def inputs_of(layer: int) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def hook(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            states = inputs[0].flatten(0, -2).double()
            total[layer] += states.sum(0)
            square[layer] += states.square().sum(0)

        return hook

    def choice_of(layer: int) -> Callable[[nn.Module, object, tuple[Tensor, ...]], None]:
        def hook(_: nn.Module, __: object, outputs: tuple[Tensor, ...]) -> None:
            routed[layer].index_add_(0, outputs[2].flatten(), outputs[1].flatten().double())

        return hook

    handles = [block.register_forward_pre_hook(inputs_of(i)) for i, block in enumerate(blocks)]
    handles += [router.register_forward_hook(choice_of(i)) for i, router in enumerate(routers)]
    try:
        for tokens in batches:
            # Not through lm_head: its 49,152 columns would be a fifth of the work for nothing.
            model.model(input_ids=tokens.to(model.device), use_cache=False)
            count += tokens.numel()
    finally:
        for handle in handles:
            handle.remove()
    mean = total / count
    return Moments(mean.float(), (square / count - mean.square()).float(), routed)


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


def initialise(layers: Sequence[OwnerBlock], rows: Tensor) -> None:
    """Set each layer's router to its row of ``rows`` (layers, hidden), over the row of the expert it copies."""
    with torch.no_grad():
        for layer, row in zip(layers, rows, strict=True):
            layer.router.copy_(row)
