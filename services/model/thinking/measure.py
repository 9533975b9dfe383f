"""How often the model is right on held-out problems, with thinking and without, as a client of the service asks it."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import fmean

from scipy.stats import binomtest

from services.model.engines.base import Delta, Engine, EngineFailed, Finish, Generation, Sampling
from services.model.engines.tokenizer import Tokenizer
from services.model.thinking.examples import CLOSED, OPENING, prompt_tokens
from services.model.thinking.problems import Problem, problems

WAYS = {"thinking": OPENING, "no_thinking": CLOSED[1], "plain": ""}
"""What of the model's turn is begun for it. In `plain`, nothing: it opens the block by itself, or does not."""
_BOXED = re.compile(r"\\boxed\{\s*(-?\d+)\s*\}")
_SAID = re.compile(r"-?\d+")
_AT_ONCE = 32


@dataclass(frozen=True)
class Answered:
    """One answer to a problem."""

    problem: Problem
    text: str
    tokens: int
    finish: str

    @property
    def right(self) -> bool:
        """Whether the answer is the problem's; thinking that the budget cut off has none."""
        return said(self.text) == self.problem.answer


@dataclass(frozen=True)
class Accuracy:
    """How often answers were right, with a 95% interval, and what they took."""

    right: int
    problems: int
    low: float
    high: float
    tokens: float
    """Generated, a mean."""
    cut: float
    """Of the answers, those that the budget cut off."""

    @classmethod
    def of(cls, answers: Sequence[Answered]) -> Accuracy:
        """Of at least one answer. The interval is Wilson's (1927)."""
        right = sum(answer.right for answer in answers)
        interval = binomtest(right, len(answers)).proportion_ci(method="wilson")
        cut = fmean(answer.finish == "length" for answer in answers)
        tokens = fmean(answer.tokens for answer in answers)
        return cls(right, len(answers), float(interval.low), float(interval.high), tokens, cut)


def heldout(seed: str, count: int) -> list[Problem]:
    """Problems that no training has seen."""
    return list(islice(problems(seed, "heldout"), count))


@dataclass(frozen=True)
class Difference:
    """Two ways on the same problems: how often only one was right, and McNemar's exact two-sided p."""

    only_first: int
    only_second: int
    p: float


def compare(first: Sequence[Answered], second: Sequence[Answered]) -> Difference:
    """Compare two ways that answered the same problems, in the same order. Source: McNemar (1947), exact form."""
    pairs = [(one.right, other.right) for one, other in zip(first, second, strict=True)]
    gained, lost = pairs.count((True, False)), pairs.count((False, True))
    p = float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0
    return Difference(gained, lost, p)


def ask(engine: Engine, tokenizer: Tokenizer, chosen: Sequence[Problem], begun: str, budget: int) -> list[Answered]:
    """Ask greedily, in batches: an answer goes on from ``begun`` for at most ``budget`` tokens. Raises EngineFailed."""
    answers: list[Answered] = []
    for start in range(0, len(chosen), _AT_ONCE):
        part = chosen[start : start + _AT_ONCE]
        running = [_Answer(engine, prompt_tokens(tokenizer, one.question, begun), budget) for one in part]
        for problem, answer in zip(part, running, strict=True):
            finish = answer.wait()
            answers.append(Answered(problem, begun + answer.text, len(finish.logprobs), finish.reason))
    return answers


def said(text: str) -> int | None:
    """The number that an answer gives: the last box's, else the last number after the thinking; None without one."""
    if OPENING.strip() in text and "</think>" not in text:
        return None
    after = text.rpartition("</think>")[2]
    found = _BOXED.findall(after) or _SAID.findall(after)
    return int(found[-1]) if found else None


class _Answer:
    """A request on its way."""

    def __init__(self, engine: Engine, prompt: Sequence[int], budget: int) -> None:
        self.text, self._finish, self._done = "", list[Finish | EngineFailed](), threading.Event()
        # the public expert alone: the thinking is in it
        engine.submit(Generation(tuple(prompt), frozenset({0}), Sampling(budget, temperature=0.0)), self._take)

    def _take(self, outcome: list[Delta] | EngineFailed) -> None:
        for delta in outcome if isinstance(outcome, list) else ():
            self.text += delta.text
            if delta.finish is not None:
                self._finish.append(delta.finish)
        if isinstance(outcome, EngineFailed):
            self._finish.append(outcome)
        if self._finish:
            self._done.set()

    def wait(self) -> Finish:
        self._done.wait()
        (finish,) = self._finish
        if isinstance(finish, EngineFailed):
            raise finish
        return finish
