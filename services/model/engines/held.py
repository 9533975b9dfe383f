"""The experts of one layer of a running model, in the form it holds them: fused, or changes of the public FFN."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import Parameter

from services.model.engines.base import BadExpert, ExpertLayer
from services.model.engines.factored import FactoredExperts, Whole


class HeldExperts(Protocol):
    """A layer's experts, by place. `cut` and `take_out` need no memory and cannot fail half way."""

    def check(self, new: ExpertLayer) -> None:
        """Raises BadExpert unless these weights fit beside the layer's own."""
        ...

    def append(self, new: ExpertLayer) -> None:
        """Give an expert the last place."""
        ...

    def cut(self, count: int) -> None:
        """Keep the first `count`."""
        ...

    def take_out(self, place: int) -> None:
        """Remove one; those behind it move up."""
        ...

    def settle(self) -> None:
        """Let the memory go of what was cut or taken out."""
        ...


def held(layer: Any) -> HeldExperts:
    """The experts of a mixture's layer (its `mlp`, with a `gate` and `experts`)."""
    return _Changes(layer) if isinstance(layer.experts, FactoredExperts) else _Fused(layer)


class _Fused:
    """transformers' own form: each of a layer's matrices in one tensor, a row an expert."""

    def __init__(self, layer: Any) -> None:
        self._layer = layer

    def check(self, new: ExpertLayer) -> None:
        for name, row in self._rows(new).items():
            _check(name, row, self._weights()[name][0])

    def append(self, new: ExpertLayer) -> None:
        rows = self._rows(new)
        self._set({name: torch.cat([old, rows[name][None]]) for name, old in self._weights().items()})

    def cut(self, count: int) -> None:
        self._set({name: weight[:count] for name, weight in self._weights().items()})

    def take_out(self, place: int) -> None:
        weights = self._weights()
        for weight in weights.values():
            _move_up(weight, place)
        self.cut(len(weights["router"]) - 1)

    def settle(self) -> None:
        self._set({name: weight.clone() for name, weight in self._weights().items()})

    def _rows(self, new: ExpertLayer) -> dict[str, Tensor]:
        if not isinstance(new.ffn, Whole):
            raise BadExpert("this model holds whole experts, and the expert is a change of the public one")
        return {"gate_up": new.ffn.gate_up, "down": new.ffn.down, "router": new.router}

    def _weights(self) -> dict[str, Tensor]:
        experts, gate = self._layer.experts, self._layer.gate
        weights = {"gate_up": experts.gate_up_proj, "down": experts.down_proj, "router": gate.weight}
        return {name: weight.detach() for name, weight in weights.items()}

    def _set(self, weights: Mapping[str, Tensor]) -> None:
        experts, gate = self._layer.experts, self._layer.gate
        experts.gate_up_proj, experts.down_proj = _frozen(weights["gate_up"]), _frozen(weights["down"])
        gate.weight = _frozen(weights["router"])
        experts.num_experts = gate.num_experts = len(weights["router"])


class _Changes:
    """`FactoredExperts`: the public FFN once, and of every other expert what is its own."""

    def __init__(self, layer: Any) -> None:
        self._experts: FactoredExperts = layer.experts
        self._gate = layer.gate

    def check(self, new: ExpertLayer) -> None:
        experts = self._experts
        (hidden, width), dtype = experts.down.shape, experts.down.dtype
        shapes = new.ffn.shapes(hidden, width)
        for name, shape in shapes.items():
            _check(name, getattr(new.ffn, name), torch.empty(shape, dtype=dtype, device="meta"))
        _check("router", new.router, self._gate.weight[0])

    def append(self, new: ExpertLayer) -> None:
        self._set_router(torch.cat([self._gate.weight, new.router[None]]))
        self._experts.changes = (*self._experts.changes, new.ffn)

    def cut(self, count: int) -> None:
        self._set_router(self._gate.weight[:count])
        self._experts.changes = self._experts.changes[:count]

    def take_out(self, place: int) -> None:
        router, changes = self._gate.weight.detach(), self._experts.changes
        gone = changes[place]
        if gone is None:
            raise ValueError("the public expert cannot be removed: the others are changes of it")
        for name in gone.__slots__:
            # freed memory keeps what was in it
            getattr(gone, name).zero_()
        _move_up(router, place)
        self._set_router(router[:-1])
        self._experts.changes = changes[:place] + changes[place + 1 :]

    def settle(self) -> None:
        self._set_router(self._gate.weight.detach().clone())

    def _set_router(self, rows: Tensor) -> None:
        self._gate.weight = _frozen(rows)
        self._gate.num_experts = len(rows)


def _move_up(rows: Tensor, place: int) -> None:
    """Write over a row with those behind it, in place; freed memory keeps what was in it."""
    for at in range(place, len(rows) - 1):
        rows[at] = rows[at + 1]
    rows[-1] = 0


def _check(name: str, new: Tensor, like: Tensor) -> None:
    if new.shape != like.shape or new.dtype != like.dtype:
        raise BadExpert(f"{name} is {new.dtype} {tuple(new.shape)}, the model's is {like.dtype} {tuple(like.shape)}")


def _frozen(weight: Tensor) -> Parameter:
    return Parameter(weight, requires_grad=False)
