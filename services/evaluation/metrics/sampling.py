"""What N samples of one question are worth: pass@k, and the answer that they choose together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import comb

BORDA_POWER = 0.5
"""p of Borda's vote v(r) = (N - r + 1)^p in NoThinking (Ma et al. 2025)."""

Same = Callable[[str, str], bool]


def pass_at_k(samples: int, right: int, k: int) -> float:
    """The chance that k samples drawn without replacement hold a right one: 1 - C(n-c, k) / C(n, k).

    Unbiased for one minus the chance that k fresh samples all fail (Chen et al. 2021). Raises ValueError for more
    than there are.
    """
    if not 1 <= k <= samples or not 0 <= right <= samples:
        raise ValueError(f"there is no pass@{k} of {samples} samples with {right} right")
    return 1 - comb(samples - right, k) / comb(samples, k)


def majority(answers: Sequence[str], same: Same) -> int | None:
    """The first sample of the largest class of equal answers; None if no sample has an answer.

    Of classes that are equally large the one that was begun first wins.
    """
    return elected(answers, [1.0] * len(answers), same)


def borda(answers: Sequence[str], confidences: Sequence[float], same: Same, power: float = BORDA_POWER) -> int | None:
    """The most confident sample of the class with most votes; the sample of rank r has (N - r + 1)^power.

    Ranks are by falling confidence, over all samples, those without an answer among them, which have no vote.
    """
    ranked = sorted(range(len(answers)), key=lambda sample: (-confidences[sample], sample))
    votes = [0.0] * len(answers)
    for rank, sample in enumerate(ranked, start=1):
        votes[sample] = (len(answers) - rank + 1) ** power
    return elected(answers, votes, same, ranked)


def most_confident(answers: Sequence[str], confidences: Sequence[float]) -> int | None:
    """The most confident sample that has an answer: best of N."""
    spoken = [sample for sample, answer in enumerate(answers) if answer]
    return max(spoken, key=lambda sample: (confidences[sample], -sample), default=None)


def elected(
    answers: Sequence[str], votes: Sequence[float], same: Same, order: Sequence[int] | None = None
) -> int | None:
    """The first sample, in `order`, of the class of equal answers with most votes.

    `same` is taken to be an equivalence, as equality of numbers is: an answer is compared with one of each class.
    """
    classes: list[list[int]] = []
    for sample in order if order is not None else range(len(answers)):
        if not answers[sample]:
            continue
        for members in classes:
            if same(answers[sample], answers[members[0]]):
                members.append(sample)
                break
        else:
            classes.append([sample])
    best = max(classes, key=lambda members: (sum(votes[member] for member in members), -members[0]), default=None)
    return None if best is None else best[0]
