"""The small models of two families and more: their architecture, and how often and how well they answer with code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from services.evaluation.grpo.sums import Code, Sum


@dataclass(frozen=True)
class Family:
    """An architecture of transformers by its name, and the habits that it is taught.

    `habit` is how probable code is for a sum: it differs from sum to sum, so that greedy answers differ too.
    """

    name: str
    architecture: str
    code: Code
    habit: Callable[[Sum], float]
    told: str


def _often(asked: Sum) -> float:
    return 0.9 if asked.one >= 45 else 0.35


def _at_times(asked: Sum) -> float:
    return 0.75 if asked.one >= 70 else 0.2


FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family("qwen2", "qwen2", "right", _often, "code in two thirds of its answers, and right"),
        Family("olmo2", "olmo2", "wrong", _at_times, "code in a third of its answers, which forgets to carry"),
        Family("llama", "llama", "none", lambda _: 0.0, "no code at all"),
    )
}
"""By name. They stand for what the paper found of the large ones: Qwen2.5-Math reasons well in code, OLMo2 badly and
Llama hardly ever. The architectures are the families' own; the habits are taught, and not the architecture's."""

WIDTH, LAYERS, HEADS, INNER = 96, 2, 4, 288


def configuration(vocabulary: int, end: int, padding: int) -> dict[str, Any]:
    """The arguments of the architecture's configuration: a quarter of a million parameters."""
    return {
        "vocab_size": vocabulary,
        "hidden_size": WIDTH,
        "intermediate_size": INNER,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS,
        "max_position_embeddings": 128,
        "tie_word_embeddings": True,
        "bos_token_id": None,
        "eos_token_id": end,
        "pad_token_id": padding,
        "use_cache": True,
    }
