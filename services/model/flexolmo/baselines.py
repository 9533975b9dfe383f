"""The models that a merge of experts is compared with, each a dense Llama in the anchor's own form.

One trained on all owners' text (`dense`), and the average of the owners' models ("model soup", Wortsman et al. 2022).
The third, an ensemble of the owners' outputs, is no model but a mean of probabilities: see `ensemble`.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from services.model.flexolmo.anchor import load_anchor
from services.model.flexolmo.deltas import PROJECTIONS
from services.model.flexolmo.dense import DenseDelta
from services.model.flexolmo.expert import Expert
from services.model.flexolmo.families import CausalLM
from services.model.flexolmo.precision import compute_dtype


def with_dense(anchor: Path, dense: DenseDelta) -> CausalLM:
    """The anchor with the dense training's deltas added to its FFNs."""
    return _shifted(anchor, dense.delta)


def averaged(anchor: Path, experts: Sequence[Expert]) -> CausalLM:
    """The mean of the experts' FFN weights, which is the public FFN plus the mean of their deltas.

    An average of dense models has no router: the owners' router rows are dropped, and every expert is taken whole,
    not by the share its router gave it. Everything else is the anchor's in all of them.
    """
    if not experts:
        raise ValueError("There is nothing to average.")

    def mean(layer: int, projection: str) -> Tensor:
        return torch.stack([expert.delta(layer, projection) for expert in experts]).mean(0)

    return _shifted(anchor, mean)


def _shifted(anchor: Path, delta: Callable[[int, str], Tensor]) -> CausalLM:
    model = load_anchor(anchor, compute_dtype())
    for i, layer in enumerate(model.model.layers):
        for projection in PROJECTIONS:
            weight = getattr(layer.mlp, f"{projection}_proj").weight
            # added in fp32 and rounded once, as in a merge
            weight.data = (weight.data.float() + delta(i, projection)).to(weight.dtype)
    return model
