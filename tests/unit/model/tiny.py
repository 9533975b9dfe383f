"""Tiny random checkpoints of the three architectures, models with experts physically removed, and a way to run."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer as Trainable
from tokenizers import decoders, models, pre_tokenizers, trainers
from torch import Tensor, nn
from transformers import (
    FlexOlmoConfig,
    FlexOlmoForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
    OlmoeConfig,
    OlmoeForCausalLM,
    PreTrainedTokenizerFast,
)

from services.model.engines.base import Delta, EngineFailed, Finish, Generation, Sampling
from services.model.engines.transformers import TransformersEngine

ARCHITECTURES = ("mixtral", "olmoe", "flex_olmo")
EXPERTS = 4
EVERY = frozenset(range(EXPERTS))
VOCABULARY = 320
END = 2

_SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 640,
    "initializer_range": 0.3,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": END,
}


def build(architecture: str, *, experts: int = EXPERTS, top_k: int = 2, seed: int = 0, **other: int) -> Any:
    """A random model in fp32 whose experts differ much, so that a wrong mask shows; `other` sizes than usual."""
    torch.manual_seed(seed)
    sizes: dict[str, Any] = _SIZES | {"num_experts_per_tok": top_k} | other
    if architecture == "mixtral":
        model: Any = MixtralForCausalLM(MixtralConfig(**sizes, num_local_experts=experts))
    elif architecture == "olmoe":
        model = OlmoeForCausalLM(OlmoeConfig(**sizes, num_experts=experts))
    else:
        model = FlexOlmoForCausalLM(FlexOlmoConfig(**sizes, num_experts=experts, norm_topk_prob=True))
    for module in model.modules():
        if type(module).__name__.endswith("TopKRouter"):
            nn.init.normal_(module.weight, std=0.5)
    return model.eval()


def prune(architecture: str, model: Any, keep: Iterable[int]) -> Any:
    """A new model that has only these experts of `model`, with k = min(k, kept)."""
    kept = sorted(keep)
    top_k = min(model.config.num_experts_per_tok, len(kept))
    pruned = build(architecture, experts=len(kept), top_k=top_k)
    state = {
        name: tensor[kept] if ".experts." in name or name.endswith("mlp.gate.weight") else tensor
        for name, tensor in model.state_dict().items()
    }
    pruned.load_state_dict(state)
    return pruned


def poison(model: Any, experts: Iterable[int]) -> None:
    """Set everything of these experts to NaN, their router rows too."""
    for name, parameter in model.named_parameters():
        if ".experts." in name or name.endswith("mlp.gate.weight"):
            for expert in experts:
                parameter.data[expert] = float("nan")


def allow(*masks: Iterable[int]) -> Tensor:
    """(sequences, experts) bool."""
    allowed = torch.zeros(len(masks), EXPERTS, dtype=torch.bool)
    for row, mask in enumerate(masks):
        allowed[row, sorted(mask)] = True
    return allowed


def letters(tokens: Sequence[int]) -> str:
    """A decoder for tests that need no tokenizer: a code point a token."""
    return "".join(chr(0x4E00 + token) for token in tokens)


class Outcome:
    """What an engine delivers for one request, as it comes."""

    def __init__(self, request: Generation) -> None:
        self.deltas: list[Delta] = []
        self.error: EngineFailed | None = None
        self._left = request.n
        self._done = threading.Event()
        self.begun = threading.Event()

    def __call__(self, outcome: list[Delta] | EngineFailed) -> None:
        if isinstance(outcome, EngineFailed):
            self.error = outcome
            self._done.set()
            return
        self.deltas += outcome
        self.begun.set()
        self._left -= sum(delta.finish is not None for delta in outcome)
        if not self._left:
            self._done.set()

    def wait(self) -> Outcome:
        assert self._done.wait(240), "the engine did not finish"
        return self

    def text(self, choice: int = 0) -> str:
        return "".join(delta.text for delta in self.deltas if delta.choice == choice)

    def tokens(self, choice: int = 0) -> list[int]:
        return [token.id for delta in self.deltas if delta.choice == choice for token in delta.tokens]

    def finish(self, choice: int = 0) -> Finish:
        (end,) = [delta.finish for delta in self.deltas if delta.choice == choice and delta.finish]
        return end


def run(engine: TransformersEngine, *requests: Generation) -> list[Outcome]:
    """Submit all at once and wait for all."""
    outcomes = [Outcome(request) for request in requests]
    for request, outcome in zip(requests, outcomes, strict=True):
        engine.submit(request, outcome)
    return [outcome.wait() for outcome in outcomes]


def greedy(prompt: Sequence[int], allowed: Iterable[int], tokens: int = 12, n: int = 1) -> Generation:
    """A greedy request."""
    return Generation(tuple(prompt), frozenset(allowed), Sampling(tokens, temperature=0), n)


CHAT_TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}{{ eos_token }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def save(directory: Path, architecture: str = "mixtral", **sizes: int) -> Path:
    """A checkpoint in transformers' format with a byte-level tokenizer trained on a few made-up sentences."""
    model = build(architecture, **sizes)
    model.save_pretrained(directory)
    tokenizer = Trainable(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<pad>", "<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    sentences = ["the owner leaves and the model forgets", "a harbour in the morning, a lamp in the window"]
    tokenizer.train_from_iterator(sentences * 4, trainer)
    fast = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, eos_token="</s>", bos_token="<s>", pad_token="<pad>", chat_template=CHAT_TEMPLATE
    )
    fast.save_pretrained(directory)
    return directory
