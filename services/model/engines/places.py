"""Experts that come and go: which expert, by its number, stands at which place of a model's weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from services.model.engines.base import BadExpert, ExpertGone, ExpertLayer
from services.model.engines.factored import FactoredExperts
from services.model.engines.held import held
from services.model.flexolmo.mask import ExpertMask


class Places:
    """The experts of one model. `numbers`: the number of the expert at each place; a number is never given again.

    Change them only between two forward passes, on the thread that computes. `numbers` may be read from any thread.
    Changed weights are made outside of inference mode: what is made inside can never be differentiated through.
    """

    def __init__(self, model: Any, mask: ExpertMask) -> None:
        self._layers = [held(layer.mlp) for layer in model.model.layers]
        self._mask = mask
        self.factored = isinstance(model.model.layers[0].mlp.experts, FactoredExperts)
        """Whether the model computes experts of low rank as what they are."""
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
            try:
                own.check(new)
            except BadExpert as error:
                raise BadExpert(f"layer {index}: {error}") from error

    @torch.inference_mode(mode=False)
    @torch.no_grad()
    def append(self, layers: Sequence[ExpertLayer]) -> int:
        """Give an expert the last place; returns its number. Raises BadExpert; on any error nothing has changed."""
        self.check(layers)
        count = len(self.numbers)
        try:
            for own, new in zip(self._layers, layers, strict=True):
                own.append(new)
        except BaseException:
            for own in self._layers:
                own.cut(count)
            raise
        number, self._next = self._next, self._next + 1
        self._number([*self.numbers, number])
        return number

    @torch.inference_mode(mode=False)
    @torch.no_grad()
    def drop(self, number: int) -> None:
        """Remove an expert's weights; those behind it move up. Raises ExpertGone, and ValueError for the last one."""
        place = self.of(number)
        if len(self.numbers) == 1:
            raise ValueError("the last expert of a model cannot be removed")
        for own in self._layers:
            own.take_out(place)
        self._number([other for other in self.numbers if other != number])
        for own in self._layers:
            own.settle()

    def _number(self, numbers: Sequence[int]) -> None:
        self._mask.experts = len(numbers)
        # both replaced, never changed: other threads may be reading
        self._place = {number: place for place, number in enumerate(numbers)}
        self.numbers = tuple(numbers)
