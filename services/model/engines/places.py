"""Experts that come and go: which expert, by its number, stands at which place of a model's fused weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from services.model.engines.base import BadExpert, ExpertGone, ExpertLayer
from services.model.flexolmo.mask import ExpertMask


class Places:
    """The experts of one model. `numbers`: the number of the expert at each place; a number is never given again.

    Change them only between two forward passes, on the thread that computes. `numbers` may be read from any thread.
    """

    def __init__(self, model: Any, mask: ExpertMask) -> None:
        self._layers = [layer.mlp for layer in model.model.layers]
        self._mask = mask
        self._next = mask.experts
        self.numbers: tuple[int, ...] = ()
        self._place: dict[int, int] = {}
        self._number(range(mask.experts))

    def of(self, number: int) -> int:
        """An expert's place. Raises ExpertGone for a removed expert, ValueError for one there never was."""
        place = self._place.get(number)
        if place is not None:
            return place
        if 0 <= number < self._next:
            raise ExpertGone(number)
        raise ValueError(f"the model has no expert {number}; it has {len(self.numbers)}")

    def check(self, layers: Sequence[ExpertLayer]) -> None:
        """Raises BadExpert unless these weights have the shapes and the dtype of the model's own."""
        if len(layers) != len(self._layers):
            raise BadExpert(f"the expert has {len(layers)} layers, the model {len(self._layers)}")
        for index, (own, new) in enumerate(zip(self._layers, layers, strict=True)):
            for name, mine in _weights(own).items():
                tensor: Tensor = getattr(new, name)
                if tensor.shape != mine.shape[1:] or tensor.dtype != mine.dtype:
                    raise BadExpert(
                        f"layer {index}: {name} is {tensor.dtype} {tuple(tensor.shape)}, "
                        f"the model's is {mine.dtype} {tuple(mine.shape[1:])}"
                    )

    def append(self, layers: Sequence[ExpertLayer]) -> int:
        """Give an expert the last place; returns its number. Raises BadExpert; on any error nothing has changed."""
        self.check(layers)
        count = len(self.numbers)
        try:
            for own, new in zip(self._layers, layers, strict=True):
                weights = _weights(own)
                _set(own, {name: torch.cat([old, getattr(new, name)[None]]) for name, old in weights.items()})
        except BaseException:
            for own in self._layers:
                # views, which need no memory: it may be that which there was none of
                _set(own, {name: old[:count] for name, old in _weights(own).items()})
            raise
        number, self._next = self._next, self._next + 1
        self._number([*self.numbers, number])
        return number

    def drop(self, number: int) -> None:
        """Remove an expert's weights; those behind it move up. Raises ExpertGone, and ValueError for the last one."""
        place = self.of(number)
        if len(self.numbers) == 1:
            raise ValueError("the last expert of a model cannot be removed")
        last = len(self.numbers) - 1
        for own in self._layers:
            weights = {name: weight.detach() for name, weight in _weights(own).items()}
            for weight in weights.values():
                # in place, which needs no memory and cannot fail half way; freed memory keeps what was in it
                for at in range(place, last):
                    weight[at] = weight[at + 1]
                weight[last] = 0
            _set(own, {name: weight[:last] for name, weight in weights.items()})
        self._number([other for other in self.numbers if other != number])
        for own in self._layers:
            _set(own, {name: weight.clone() for name, weight in _weights(own).items()})

    def _number(self, numbers: Sequence[int]) -> None:
        self._mask.experts = len(numbers)
        # both replaced, never changed: other threads may be reading
        self._place = {number: place for place, number in enumerate(numbers)}
        self.numbers = tuple(numbers)


def _weights(layer: Any) -> dict[str, Tensor]:
    """The fused weights of a layer, by their names in `ExpertLayer`."""
    return {"gate_up": layer.experts.gate_up_proj, "down": layer.experts.down_proj, "router": layer.gate.weight}


def _set(layer: Any, weights: dict[str, Tensor]) -> None:
    frozen = {name: Parameter(weight, requires_grad=False) for name, weight in weights.items()}
    layer.experts.gate_up_proj, layer.experts.down_proj = frozen["gate_up"], frozen["down"]
    layer.gate.weight = frozen["router"]
    layer.experts.num_experts = layer.gate.num_experts = len(frozen["router"])
