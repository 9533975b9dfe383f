"""How steep a text's loss is: the norm of its gradient, through the experts that its mask allows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.nn import Parameter

from services.model.engines.base import ScoreTask
from services.model.engines.checkpoint import Checkpoint
from services.model.engines.sequences import laid_out

_ROWS = 128
"""Positions whose distributions over the vocabulary, and their gradients, are in memory at once."""


def gradient_norm(checkpoint: Checkpoint, task: ScoreTask) -> float:
    """The Euclidean norm of the gradient of a sequence's mean negative log-likelihood (GradNorm), at least two tokens.

    By every parameter outside the experts and routers, a tied one once: by those alone a norm is the same whether
    experts are held as whole matrices or as changes of the public one, and an expert that is left out has no part in
    it, since the gradient flows through the allowed ones only. It takes memory for a copy of those parameters.
    """
    # the engine's thread computes in inference mode, where nothing can be differentiated
    with torch.inference_mode(mode=False), torch.enable_grad(), _wanted(checkpoint) as parameters:
        tokens, rows = laid_out(checkpoint, [task])
        hidden, _ = checkpoint.hidden(tokens, rows)
        states, targets = hidden[0, :-1], tokens[0, 1:]
        # the head's part a piece at a time, then the rest from the gradient by its input
        given = states.detach().requires_grad_()
        for begin in range(0, len(targets), _ROWS):
            logprobs = checkpoint.logits(given[begin : begin + _ROWS]).log_softmax(dim=-1)
            chosen = logprobs.gather(1, targets[begin : begin + _ROWS].unsqueeze(1))
            (-chosen.sum() / len(targets)).backward()  # type: ignore[no-untyped-call]
        states.backward(given.grad)  # type: ignore[no-untyped-call]
        squares = [one.grad.double().square().sum() for one in parameters if one.grad is not None]
        return float(torch.stack(squares).sum().sqrt())


@contextmanager
def _wanted(checkpoint: Checkpoint) -> Iterator[list[Parameter]]:
    """The parameters outside experts and routers, to be differentiated by inside, and by none other."""
    every = list(checkpoint.model.parameters())
    inside = {id(one) for layer in checkpoint.model.model.layers for one in layer.mlp.parameters()}
    parameters = [one for one in every if id(one) not in inside]
    before = [one.requires_grad for one in every]
    try:
        for one in every:
            one.requires_grad_(id(one) not in inside)
        yield parameters
    finally:
        for one, needed in zip(every, before, strict=True):
            one.requires_grad_(needed)
            one.grad = None
