"""The specification of a trace by search in plain strings and sets, written without a look at the engine."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from services.tracing.tokenizer import Tokenizer

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

    def spans(self, text: str) -> list[BruteSpan]:
        """Maximal spans of an English text, in order."""
        encoded = self.tokenizer.encode(text)
        ids, words = encoded.ids.tolist(), encoded.words.tolist()
        pieces = [self.tokenizer.decode([one]).decode() for one in ids]
        edges = [sum(map(len, pieces[:n])) for n in range(len(pieces) + 1)]
        whole = spell(ids)
        found: list[BruteSpan] = []
        for first, piece in enumerate(pieces):
            shown = piece.removeprefix(" ")
            if not shown or shown[0].isspace() or not begins_word(text, edges[first] + (piece[0] == " ")):
                continue
            spellings = [(whole[first:], 0)]
            if first == 0 or words[first] != words[first - 1]:
                tail = max(n for n, word in enumerate(words) if word == words[first]) + 1
                word = text[edges[first] : edges[tail]]
                other = spell(self.tokenizer.encode(word[1:] if word[0] == " " else " " + word).ids.tolist())
                if not other.endswith(whole[first:tail]):
                    spellings.append((other + whole[tail:], len(other) - (tail - first)))
            ends = []
            for spelling, longer in spellings:
                last = first + self.reach(spelling) - longer
                stops = [n + 1 for n in range(first, last) if "." in pieces[n] or "\n" in pieces[n]]
                last = min([last, *stops])
                while last > first and not (ends_word(text, edges[last]) and not text[edges[last] - 1].isspace()):
                    last -= 1
                least = first + 1 if spelling is spellings[0][0] else tail
                ends.append(last if last >= least else 0)
            last = max(ends)
            if last <= first:
                continue
            places = [
                place
                for spelling, longer in spellings
                if (not longer and spelling is spellings[0][0]) or last >= tail
                for place in self.positions(spelling[: last - first + longer])
            ]
            start = edges[first] + (piece[0] == " ")
            documents = frozenset(document for document, _ in places)
            found.append(BruteSpan(start, edges[last], last - first, len(places), documents))
        return [span for span in found if not any(contains(other, span) for other in found if other is not span)]


def spell(ids: Sequence[int]) -> str:
    """A character for each token."""
    return "".join(chr(identity + 0x100) for identity in ids)


def begins_word(text: str, at: int) -> bool:
    """Whether no word goes on across this place: letters, digits, underscores, and an apostrophe between such."""
    return not any(match.start() < at < match.end() for match in re.finditer(r"\w+(?:'\w+)*", text))


def ends_word(text: str, at: int) -> bool:
    """The same, but a word may end before or after its apostrophe."""
    return not any(match.start() < at < match.end() for match in re.finditer(r"\w+", text))


def contains(outer: BruteSpan, inner: BruteSpan) -> bool:
    return outer.start <= inner.start and inner.end <= outer.end
