"""The processes that share a training: one, in plain torch, or those that `accelerate launch` started."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Processes:
    """One process of a training, and how it works with the others."""

    index: int
    count: int
    device: torch.device

    @property
    def main(self) -> bool:
        """Whether this is the one process that writes files and speaks."""
        return self.index == 0

    @property
    def part(self) -> slice:
        """The blocks of a step that are this process's: each count-th."""
        return slice(self.index, None, self.count)

    def sum(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by its sum over the processes, in place; nothing to do for one."""
        if self.count > 1:
            for tensor in tensors:
                torch.distributed.all_reduce(tensor)


ALONE = Processes(0, 1, torch.device("cpu"))


@contextmanager
def launched() -> Iterator[Processes]:
    """The processes that accelerate or torchrun started, or this one, on its GPU if it has one."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Processes(0, 1, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
        return
    # One process needs no accelerate.
    from accelerate import PartialState  # type: ignore[import-untyped]  # noqa: PLC0415

    state = PartialState(cpu=not torch.cuda.is_available())
    try:
        yield Processes(state.process_index, state.num_processes, state.device)
        state.wait_for_everyone()
    finally:
        state.destroy_process_group()
