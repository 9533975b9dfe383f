"""Another checkpoint's choices of experts, in the numbers of the one analysed. Imports torch."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from services.model.analysis.report import Against
from services.model.engines.base import RouteTask
from services.model.engines.loading import load_here
from services.model.experts import Experts
from services.model.settings import ModelSettings

Bytes = Callable[[int], bytes]


def against(
    directory: Path, settings: ModelSettings, texts: Sequence[Sequence[int]], names: Mapping[str, int], bytes_of: Bytes
) -> Against:
    """Load a checkpoint, route texts given as tokens, and let it go again.

    `names`: the experts that may compute and their numbers in the model analysed; those that the checkpoint lacks are
    left out. `bytes_of`: what the model analysed takes a token for. Raises OSError or ValueError for a directory that
    cannot be loaded, TooLong for a text that does not fit, ValueError for another tokenizer.
    """
    engine, tokenizer = load_here(directory, settings)
    try:
        for token in {token for tokens in texts for token in tokens}:
            if token >= engine.info.vocabulary or tokenizer.bytes_of(token) != bytes_of(token):
                raise ValueError(f"{directory.name} has another tokenizer: token {token} is not the same text")
        experts = Experts.of(directory, engine.info.experts)
        known = {expert.index: names[expert.id] for expert in experts.listed if expert.id in names}
        tasks = [RouteTask(tuple(tokens), frozenset(known)) for tokens in texts]
        chosen = np.concatenate([routing.chosen for routing in engine.route(tasks).result()])
    finally:
        engine.close()
        # the patched routers and their mask refer to each other
        del engine
        gc.collect()
    numbers = np.full(max(known) + 2, -1, dtype=np.int64)
    numbers[list(known)] = list(known.values())
    # an empty slot, -1, takes the last entry, which is -1
    return Against(directory.name, numbers[chosen])
