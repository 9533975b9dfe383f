"""Problems as the model reads them: with thinking, with a block that is closed already, and with one cut short."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor

from services.model.engines.tokenizer import Tokenizer
from services.model.thinking.problems import Problem, problems

OPENING, CLOSING = "<think>\n", "\n</think>\n\n"
CLOSED = (
    f"{OPENING}\n</think>\n\n",
    f"{OPENING}I have finished thinking this through.{CLOSING}",
    f"{OPENING}Okay, I think I have finished thinking.{CLOSING}",
)
"""Closed blocks that clients write: the model must answer after any of them. The second is the gateway's."""
_CUT = 0.2
"""Of the examples without (further) thinking, those whose thinking was cut short: a budget that ran out."""


@dataclass(frozen=True)
class Example:
    """Tokens, and from where on they are the model's own: those are learnt."""

    tokens: tuple[int, ...]
    own: int


class Examples:
    """The examples of each step of a training: each problem once with thinking and once without."""

    def __init__(self, tokenizer: Tokenizer, seed: int, count: int) -> None:
        """`count`: problems a step."""
        self.tokenizer, self.seed, self.count = tokenizer, seed, count
        self.end = tokenizer.special_names()["eos_token"]

    def step(self, step: int) -> list[Example]:
        """Those with thinking, then those without."""
        source, rng = problems(f"{self.seed} {step}", "train"), Random(f"{self.seed} {step} closed")
        chosen = [next(source) for _ in range(self.count)]
        return [self.thinking(problem) for problem in chosen] + [self._closed(problem, rng) for problem in chosen]

    def thinking(self, problem: Problem) -> Example:
        """The steps, then the answer; the model opens the block by itself."""
        return self._example(problem, "", OPENING + "\n".join(problem.steps) + CLOSING, answer(problem))

    def _closed(self, problem: Problem, rng: Random) -> Example:
        begun = rng.choice(CLOSED)
        if rng.random() < _CUT:
            kept = problem.steps[: rng.randrange(1, len(problem.steps) + 1)]
            begun = OPENING + "\n".join(kept) + CLOSING
        return self._example(problem, begun, answer(problem))

    def _example(self, problem: Problem, begun: str, *own: str) -> Example:
        # piece by piece: a tokenizer joins the end of a prefilled block with what follows it
        prompt = prompt_tokens(self.tokenizer, problem.question, begun)
        learnt = [token for piece in (*own, self.end) for token in self.tokenizer.encode(piece, special=False)]
        return Example((*prompt, *learnt), len(prompt))


def prompt_tokens(tokenizer: Tokenizer, question: str, begun: str) -> list[int]:
    """What the model reads before it goes on: the question and what of its turn is begun."""
    turns = [("user", question), ("assistant", begun)] if begun else [("user", question)]
    return tokenizer.conversation(turns, continue_last=bool(begun))


def answer(problem: Problem) -> str:
    """What is said after the block."""
    return f"The answer is \\boxed{{{problem.answer}}}."


def batches(examples: Sequence[Example], size: int) -> list[tuple[Tensor, Tensor]]:
    """The examples in parts of ``size``, those of a length together, each as `padded`."""
    by_length = sorted(examples, key=lambda example: len(example.tokens))
    return [padded(by_length[start : start + size]) for start in range(0, len(by_length), size)]


def padded(examples: Sequence[Example]) -> tuple[Tensor, Tensor]:
    """Tokens (examples, longest) int64, padded at the right, and which of them are learnt, bool."""
    longest = max(len(example.tokens) for example in examples)
    tokens, learnt = torch.zeros(len(examples), longest, dtype=torch.int64), torch.zeros(len(examples), longest).bool()
    for row, example in enumerate(examples):
        tokens[row, : len(example.tokens)] = torch.tensor(example.tokens)
        learnt[row, example.own : len(example.tokens)] = True
    return tokens, learnt
