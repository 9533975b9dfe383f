"""Word problems: a few lines of everyday life with numbers in them, and how they are worked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from services.model.thinking.steps import Worked, added, multiplied


@dataclass(frozen=True)
class Story:
    """A word problem, its working, and the numbers that it tells."""

    question: str
    worked: Worked
    numbers: tuple[int, ...]


_NAMES = ("Ada", "Ben", "Clara", "David", "Emma", "Felix", "Grace", "Hugo", "Ida", "Jonas", "Lena", "Max", "Nora")
_THINGS = ("apples", "books", "cards", "coins", "eggs", "marbles", "pencils", "shells", "stamps", "stickers")
_BAGS = ("bags", "boxes", "baskets", "packs")
_PLACES = ("theatre", "train", "school", "library", "hall")


def _shopping(rng: Random) -> Story:
    a, bags, each = rng.randint(5, 60), rng.randint(3, 9), rng.randint(3, 9)
    worked = multiplied([bags, each])
    given = rng.randint(2, min(40, worked.value))
    name, things, bag = rng.choice(_NAMES), rng.choice(_THINGS), rng.choice(_BAGS)
    question = (
        f"{name} has {a} {things}. {name} buys {bags} {bag} of {each} {things} and gives {given} {things} away. "
        f"How many {things} does {name} have now?"
    )
    return Story(question, worked.plus(a).minus(given), (a, bags, each, given))


def _paying(rng: Random) -> Story:
    pen, book, pens, books = rng.randint(2, 9), rng.randint(11, 19), rng.randint(3, 9), rng.randint(2, 5)
    first, second = multiplied([pen, pens]), multiplied([book, books])
    question = (
        f"A pen costs {pen} dollars and a book costs {book} dollars. {rng.choice(_NAMES)} buys {pens} pens and "
        f"{books} books. How many dollars is that in all?"
    )
    return Story(question, first.then(second).plus(second.value), (pen, book, pens, books))


def _collecting(rng: Random) -> Story:
    days = [rng.randint(11, 70) for _ in range(3)]
    lost = rng.randint(3, 30)
    name, things = rng.choice(_NAMES), rng.choice(_THINGS)
    question = (
        f"{name} finds {days[0]} {things} on Monday, {days[1]} on Tuesday and {days[2]} on Wednesday, and then loses "
        f"{lost} of them. How many {things} are left?"
    )
    return Story(question, added(days).minus(lost), (*days, lost))


def _seats(rng: Random) -> Story:
    rows, seats = rng.randint(12, 40), rng.randint(3, 9)
    worked = multiplied([rows, seats])
    taken = rng.randint(5, worked.value - 5)
    question = (
        f"A {rng.choice(_PLACES)} has {rows} rows of {seats} seats. {taken} seats are taken. How many seats are free?"
    )
    return Story(question, worked.minus(taken), (rows, seats, taken))


def _sharing(rng: Random) -> Story:
    friends, each = rng.randint(3, 9), rng.randint(3, 9)
    eaten = rng.randint(2, 15)
    bought = rng.randint(2, friends * each + eaten - 1)
    had = friends * each + eaten - bought
    name, things = rng.choice(_NAMES), rng.choice(_THINGS)
    question = (
        f"{name} has {had} {things}, gets {bought} more and loses {eaten}. The rest is shared equally by {friends} "
        f"friends. How many {things} does each friend get?"
    )
    return Story(question, Worked(had).plus(bought).minus(eaten).shared(friends), (had, bought, eaten, friends))


STORIES: tuple[Callable[[Random], Story], ...] = (_shopping, _paying, _collecting, _seats, _sharing)
