"""What differs between the families of models that can be an anchor; everything else treats them alike.

In memory transformers keeps all of them alike: a layer's FFN is ``model.model.layers[i].mlp``, either dense
(``gate_proj``, ``up_proj``, ``down_proj``) or a block of a router ``gate`` and fused ``experts``. On disk the
names of a mixture's tensors differ, and a dense model needs a form of mixture that computes what it computes:
Mixtral's layer is Llama's, FlexOlmo's is OLMo2's (norms after attention and FFN, norms of queries and keys).
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from transformers import (
    FlexOlmoConfig,
    FlexOlmoForCausalLM,
    LlamaForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
    Olmo2ForCausalLM,
    OlmoeConfig,
    OlmoeForCausalLM,
)

CausalLM = LlamaForCausalLM | Olmo2ForCausalLM | MixtralForCausalLM | OlmoeForCausalLM | FlexOlmoForCausalLM
MixtureConfig = MixtralConfig | OlmoeConfig | FlexOlmoConfig

K = 2
"""Experts a token on a dense anchor: as good as more of them, at half the work (measured in docs/experts.md)."""


class UnsupportedAnchor(ValueError):
    """The model is of an architecture that owners' experts cannot be added to here."""


@dataclass(frozen=True)
class Form:
    """A form of mixture of experts: its class in transformers and vLLM, and its tensors' names on disk."""

    architecture: str
    config: type[MixtureConfig]
    block: str
    gate: str
    up: str
    down: str

    def weight(self, layer: int, expert: int, projection: str) -> str:
        """The name of an expert's matrix; ``projection`` is gate, up or down."""
        return f"model.layers.{layer}.{self.block}.experts.{expert}.{getattr(self, projection)}.weight"

    def router(self, layer: int) -> str:
        """The name of a layer's router, a row an expert."""
        return f"model.layers.{layer}.{self.block}.gate.weight"


@dataclass(frozen=True)
class Family:
    """A family of anchors, and the form that one takes with owners' experts."""

    model_type: str
    form: Form
    dense: bool
    kept: tuple[str, ...] = ()
    """Settings that a dense model and its form have in common, by the same names and meanings."""
    fixed: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """Settings that only the form has."""
    biases: tuple[str, ...] = ()
    """Settings that must be off: the form has no place for these biases."""

    def experts(self, config: Any) -> int:
        """How many experts an anchor has; all of them are public. A dense anchor has one, its FFN."""
        return 1 if self.dense else int(config.num_local_experts)

    def active(self, config: Any) -> int:
        """How many experts work on a token unless the merge is told otherwise."""
        return K if self.dense else int(config.num_experts_per_tok)

    def merged(self, config: Any, experts: int, k: int) -> MixtureConfig:
        """The configuration of the anchor of ``config`` with ``experts`` experts in all, ``k`` of them a token."""
        if self.dense:
            kept = {name: getattr(config, name) for name in self.kept}
            merged = self.form.config(**kept, **self.fixed, architectures=[self.form.architecture])
        else:
            merged = copy.deepcopy(config)
        merged.num_local_experts, merged.num_experts_per_tok = experts, min(k, experts)
        return merged


_KEPT = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "hidden_act",
    "max_position_embeddings",
    "initializer_range",
    "rms_norm_eps",
    "rope_parameters",
    "tie_word_embeddings",
    "pad_token_id",
    "bos_token_id",
    "eos_token_id",
    "dtype",
)
_MIXTRAL = Form("MixtralForCausalLM", MixtralConfig, "block_sparse_moe", gate="w1", up="w3", down="w2")
_OLMOE = Form("OlmoeForCausalLM", OlmoeConfig, "mlp", gate="gate_proj", up="up_proj", down="down_proj")
_FLEX_OLMO = Form("FlexOlmoForCausalLM", FlexOlmoConfig, "mlp", gate="gate_proj", up="up_proj", down="down_proj")

FAMILIES = {
    family.model_type: family
    for family in (
        Family(
            "llama",
            _MIXTRAL,
            dense=True,
            kept=(*_KEPT, "head_dim"),
            fixed=MappingProxyType({"sliding_window": None}),
            biases=("attention_bias", "mlp_bias"),
        ),
        Family(
            "olmo2",
            _FLEX_OLMO,
            dense=True,
            kept=(*_KEPT, "attention_bias"),
            # The weights of the chosen experts sum to one, as they did when each owner trained, whatever k is. Without
            # it k of many would sum to less, and only the norm after the FFN would hide it, up to its epsilon.
            fixed=MappingProxyType({"norm_topk_prob": True}),
        ),
        Family("mixtral", _MIXTRAL, dense=False),
        Family("olmoe", _OLMOE, dense=False),
        Family("flex_olmo", _FLEX_OLMO, dense=False),
    )
}


def family_of(config: Any, where: object) -> Family:
    """The family of a model's configuration. Raises UnsupportedAnchor, naming ``where`` it is from."""
    family = FAMILIES.get(config.model_type)
    if family is None:
        raise UnsupportedAnchor(f"{where} is a {config.model_type} model; an anchor is one of {', '.join(FAMILIES)}.")
    if config.hidden_act != "silu":
        raise UnsupportedAnchor(f"{where} has {config.hidden_act} in its FFN; an anchor must have silu.")
    for bias in family.biases:
        if getattr(config, bias, False):
            raise UnsupportedAnchor(f"{where} has {bias}; {family.form.architecture} has no place for it.")
    return family
