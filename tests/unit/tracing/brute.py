"""The specification of a trace by search in plain strings and sets, written without a look at the engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from services.tracing.tokenizer import Tokenizer
from tests.unit.tracing.words import begins_word, ends_word

SEPARATOR = "\uffff"


@dataclass(frozen=True)
class BruteSpan:
    start: int
    end: int
    length: int
    count: int
    documents: frozenset[int]


class BruteCorpus:
    """Documents as strings with a character a token."""

    def __init__(self, texts: Sequence[str], tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.documents = [spell(tokenizer.encode(text).ids.tolist()) for text in texts]
        self.all = SEPARATOR.join(self.documents)

    def positions(self, needle: str) -> list[tuple[int, int]]:
        """(document, place) of every occurrence, overlapping ones too."""
        found = []
        for number, document in enumerate(self.documents):
            at = document.find(needle)
            while at >= 0:
                found.append((number, at))
                at = document.find(needle, at + 1)
        return found

    def reach(self, needle: str) -> int:
        """Length of the longest prefix that occurs."""
        length = 0
        while length < len(needle) and needle[: length + 1] in self.all:
            length += 1
        return length

    def spans(self, text: str, delimiters: str = ".\n", whole_words: bool = True) -> list[BruteSpan]:
        """Maximal spans of a text, in order."""
        encoded = self.tokenizer.encode(text)
        ids, words = encoded.ids.tolist(), encoded.words.tolist()
        edges = [place(self.tokenizer.decode(ids[:n])) for n in range(len(ids) + 1)]
        whole = spell(ids)
        found: list[BruteSpan] = []
        for first, (at, after) in enumerate(pairwise(edges)):
            begin = int(at) + (text[int(at)] == " ") if at.is_integer() else None
            if begin is None or begin >= after or (whole_words and not starts_word(text, int(at), begin)):
                continue
            spellings = [(whole[first:], 0, first + 1)]
            tail = max(n for n, word in enumerate(words) if word == words[first]) + 1
            word = text[int(at) : int(edges[tail])]
            if len(word) <= 64 and not word.isspace():
                other = spell(self.tokenizer.encode(word[1:] if word[0] == " " else " " + word).ids.tolist())
                while other and tail > first and other[-1] == whole[tail - 1]:
                    other, tail = other[:-1], tail - 1
                if other and tail > first:
                    spellings.append((other + whole[tail:], len(other) - (tail - first), tail))
            ends = []
            for spelling, longer, least in spellings:
                last = first + self.reach(spelling) - longer
                stops = [n for n in range(first + 1, len(edges)) if completes(text, edges[n - 1], edges[n], delimiters)]
                last = min([last, *stops])
                while last > first and not may_end(text, edges[last], whole_words):
                    last -= 1
                ends.append(last if last >= least else 0)
            last = max(ends)
            if last <= first:
                continue
            places = [
                found
                for spelling, longer, least in spellings
                if last >= least
                for found in self.positions(spelling[: last - first + longer])
            ]
            documents = frozenset(document for document, _ in places)
            found.append(BruteSpan(begin, int(edges[last]), last - first, len(places), documents))
        return [span for span in found if not any(contains(other, span) for other in found if other is not span)]


def place(before: bytes) -> float:
    """Code points in front of an edge between tokens, and a half where it splits one."""
    complete = len(before.decode("utf-8", "ignore"))
    return float(complete) if before.decode("utf-8", "ignore").encode() == before else complete + 0.5


def starts_word(text: str, at: int, begin: int) -> bool:
    """Whether a span may begin at code point `begin`, with the space before it (from `at` on) or without."""
    return ends_word(text, at) and not text[begin].isspace() and begins_word(text, begin)


def may_end(text: str, at: float, whole_words: bool) -> bool:
    """Whether a span may end there."""
    return at.is_integer() and (not whole_words or (ends_word(text, int(at)) and not text[int(at) - 1].isspace()))


def completes(text: str, before: float, after: float, delimiters: str) -> bool:
    """Whether the last byte of a delimiter is between two edges."""
    return any(character in delimiters for character in text[int(before) : int(after)])


def spell(ids: Sequence[int]) -> str:
    """A character for each token."""
    return "".join(chr(identity + 0x100) for identity in ids)


def contains(outer: BruteSpan, inner: BruteSpan) -> bool:
    return outer.start <= inner.start and inner.end <= outer.end
