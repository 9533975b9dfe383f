"""The vote while samples are still coming: whether those to come can change which answer wins."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.pipeline.aggregate import BORDA_POWER, Rule
from gateway.pipeline.short_answer import ShortAnswer, extract

_ROUNDED = 1e-6
"""By which the votes of the samples, which are rounded, may differ and count as equal."""


class Tally:
    """Counts the answers of `total` samples as they end.

    `decided` never says so too soon: the answer that leads then wins the vote among the samples that have ended, and
    would have won it among all, whatever the others had said.
    """

    def __init__(self, question: str, total: int, rule: Rule) -> None:
        self._question, self._total, self._rule = question, total, rule
        self._numbers: list[int] = []
        self._shorts: list[ShortAnswer] = []
        self._confidences: list[float | None] = []
        self._same: list[list[int]] = []

    def add(self, number: int, text: str, confidence: float | None) -> None:
        """Count a sample. Its number among all decides between equal confidences, as it does in the vote."""
        short = ShortAnswer.of(extract(text), self._question)
        place = len(self._shorts)
        same = [other for other in range(place) if short.same_as(self._shorts[other])]
        for other in same:
            self._same[other].append(place)
        self._numbers.append(number)
        self._shorts.append(short)
        self._confidences.append(confidence)
        self._same.append([*same, place])

    def decided(self) -> bool:
        """Whether one answer wins whatever is to come.

        Sameness is not transitive, so that what comes may part a class or join two: the leader is held to the samples
        with the very same answer, which stay together, and a rival may have all that are the same as one of its own.
        """
        least, most, coming = self._bounds()
        blocks: dict[ShortAnswer, list[int]] = {}
        for place, short in enumerate(self._shorts):
            if short.words:
                blocks.setdefault(short, []).append(place)
        if not blocks:
            return False
        leader = max(blocks.values(), key=lambda block: sum(least[place] for place in block))
        own = set(leader)
        rivals = (
            sum(most[other] for other in self._same[place] if other not in own)
            for place in range(len(self._shorts))
            if place not in own
        )
        return sum(least[place] for place in leader) > max(rivals, default=0.0) + coming + _ROUNDED

    def _bounds(self) -> tuple[Sequence[float], Sequence[float], float]:
        """The least and the most that the vote of each sample can be worth, and the most that those to come can be."""
        left, count = self._total - len(self._shorts), len(self._shorts)
        known = [confidence for confidence in self._confidences if confidence is not None]
        if self._rule == "majority" or len(known) < count:
            return [1.0] * count, [1.0 if short.words else 0.0 for short in self._shorts], float(left)
        least, most = [0.0] * count, [0.0] * count
        for rank, place in enumerate(
            sorted(range(count), key=lambda place: (-known[place], self._numbers[place])), start=1
        ):
            # those to come are all more certain than it, or all less
            least[place] = (self._total - rank - left + 1) ** BORDA_POWER
            most[place] = (self._total - rank + 1) ** BORDA_POWER if self._shorts[place].words else 0.0
        return least, most, sum((self._total - rank + 1) ** BORDA_POWER for rank in range(1, left + 1))
