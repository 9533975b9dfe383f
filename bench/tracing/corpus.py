"""The documents that are indexed, with their tokens, in parts: an index of n tokens is made of the first parts."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from bench.tracing.rules import Ids

HELD_OUT = 50
"""One document of the documentation in so many is in no index."""
_AT_ONCE = 512


class Encodes(Protocol):
    """The part of a tokenizer that is used here."""

    def encode_many(self, texts: Sequence[str]) -> Sequence[Ids]:
        """Token ids of each text."""


@dataclass(frozen=True)
class Part:
    """A folder with documents and their tokens."""

    folder: Path

    @property
    def texts(self) -> Path:
        """A JSON object a document, as `candor data build` reads them."""
        return self.folder / "documents.jsonl"

    @property
    def lengths(self) -> list[int]:
        """Tokens of each document."""
        found: list[int] = np.load(self.folder / "lengths.npy").tolist()
        return found

    @property
    def about(self) -> dict[str, Any]:
        """`documents`, `tokens`, `bytes` of their texts, and `tokenize_cpu_s`."""
        found: dict[str, Any] = json.loads((self.folder / "part.json").read_text())
        return found

    def documents(self) -> Iterator[Ids]:
        """The tokens of each document."""
        tokens = np.fromfile(self.folder / "tokens.u16", dtype=np.uint16)
        at = 0
        for length in self.lengths:
            yield tokens[at : at + length]
            at += length


class Texts:
    """A folder of parts and of what was held out."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def part(self, number: int) -> Part:
        """A part, which need not be there yet."""
        return Part(self._folder / f"part-{number}")

    def held_out(self) -> list[str]:
        """Documents that are in no part."""
        found: list[str] = json.loads((self._folder / "heldout.json").read_text())
        return found

    def make(self, first: Iterable[str], then: Iterable[str], sizes: Sequence[int], by: Encodes) -> list[Part]:
        """Parts that end at these numbers of tokens, the last where the texts end; ones that are there are kept.

        Of `first`, shuffled, some documents are held out. `then` is read if that is not enough, and shuffled too.
        """
        parts = [self.part(number) for number in range(len(sizes))]
        missing = [part for part in parts if not (part.folder / "part.json").exists()]
        if not missing:
            return parts
        self._folder.mkdir(parents=True, exist_ok=True)
        kept, held = _divided(first)
        (self._folder / "heldout.json").write_text(json.dumps(held))
        done = [part.about for part in parts if part not in missing]
        stream = islice(chain(kept, _shuffled(then)), sum(each["documents"] for each in done), None)
        total = sum(each["tokens"] for each in done)
        for part, size in list(zip(parts, sizes, strict=True))[len(done) :]:
            total += _write(part, stream, size - total, by)
        return parts


def _divided(texts: Iterable[str]) -> tuple[list[str], list[str]]:
    ordered = list(_shuffled(texts))
    return [text for number, text in enumerate(ordered) if number % HELD_OUT], ordered[::HELD_OUT]


def _shuffled(texts: Iterable[str]) -> Iterator[str]:
    ordered = list(texts)
    random.Random(0).shuffle(ordered)
    yield from ordered


def _write(part: Part, texts: Iterator[str], wanted: int, by: Encodes) -> int:
    """Documents until there are so many tokens, and how many there are."""
    part.folder.mkdir(exist_ok=True)
    name, size, spent = part.folder.name, 0, 0.0
    lengths: list[int] = []
    with part.texts.open("w", encoding="utf-8") as file, (part.folder / "tokens.u16").open("wb") as tokens:
        while sum(lengths) < wanted and (batch := list(islice(texts, _batch(wanted - sum(lengths))))):
            began = time.process_time()
            encoded = by.encode_many(batch)
            spent += time.process_time() - began
            for text, ids in zip(batch, encoded, strict=True):
                line = {"id": f"{name}-{len(lengths):06}", "title": text[:60], "source": name, "text": text}
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
                tokens.write(ids.astype(np.uint16).tobytes())
                lengths.append(int(ids.size))
                size += len(text.encode())
    np.save(part.folder / "lengths.npy", np.array(lengths, dtype=np.int64))
    about = {"documents": len(lengths), "tokens": sum(lengths), "bytes": size, "tokenize_cpu_s": spent}
    (part.folder / "part.json").write_text(json.dumps(about))
    return sum(lengths)


def _batch(wanted: int) -> int:
    """Documents for so many tokens, few enough to pass what is wanted by little."""
    return max(1, min(_AT_ONCE, wanted // 10_000))


def limit(lengths: Sequence[int], segments: int) -> int:
    """The least number of tokens that closes a segment when documents are to fill at most so many."""
    low, high = max(lengths), sum(lengths) + len(lengths)
    while low < high:
        middle = (low + high) // 2
        if len(portions(lengths, middle)) <= segments:
            high = middle
        else:
            low = middle + 1
    return low


def portions(lengths: Sequence[int], most: int) -> list[int]:
    """How many documents each segment gets: one is closed before a document that would take it past `most` tokens,
    separators included."""
    found, tokens = [0], 0
    for length in lengths:
        if tokens + length > most and found[-1]:
            found.append(0)
            tokens = 0
        found[-1] += 1
        tokens += length + 1
    return found
