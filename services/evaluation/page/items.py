"""The items of a report as compressed pieces of its page: the browser unpacks those that are looked at.

A page is made in one pass, and holds one block of items at a time: of a long run only the packed index is kept.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from shared.contracts.evaluation import Item

Entry = Sequence[Item | None]
"""One question under one setting: the item of each run, the first run's first."""

BLOCK = 100
"""Entries of a block."""

_SNIPPET = 120
"""Characters of a question that the list shows."""

_GZIP = 31
"""zlib's number for gzip's format, which browsers can read."""


def pieces(entries: Iterable[Entry], metrics: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Pieces of the page, (kind, base64 of gzipped JSON): a `block` for so many entries, and at the end the `index`.

    The index has for every entry what the list shows: [set, setting, question, and of each run [status, scores]].
    """
    index, packed, rest, first = zlib.compressobj(9, wbits=_GZIP), [], iter(entries), True
    packed.append(index.compress(b"["))
    while block := list(islice(rest, BLOCK)):
        yield "block", _packed([_whole(entry) for entry in block])
        for entry in block:
            packed.append(index.compress(b"" if first else b","))
            packed.append(index.compress(_json(_row(entry, metrics))))
            first = False
    packed += [index.compress(b"]"), index.flush()]
    yield "index", base64.b64encode(b"".join(packed)).decode()


def _row(entry: Entry, metrics: Sequence[str]) -> list[Any]:
    item = next(one for one in entry if one is not None)
    runs = [
        [one.status, [_rounded(one.scores[name]) if name in one.scores else None for name in metrics]] if one else None
        for one in entry
    ]
    return [item.set, item.setting, item.question[:_SNIPPET], runs]


def _whole(entry: Entry) -> dict[str, Any]:
    item = next(one for one in entry if one is not None)
    about = item.model_dump(include={"id", "question_id", "cluster", "set", "setting", "question", "gold"})
    return {**about, "answers": [_answer(one) if one is not None else None for one in entry]}


def _answer(item: Item) -> Mapping[str, Any]:
    wanted = {"status", "prompt", "output", "scores", "tokens", "latency_ms", "seed", "details", "error", "setting"}
    return item.model_dump(include=wanted)


def _packed(value: Any) -> str:
    packer = zlib.compressobj(6, wbits=_GZIP)
    return base64.b64encode(packer.compress(_json(value)) + packer.flush()).decode()


def _json(value: Any) -> bytes:
    """A lone surrogate of a broken answer becomes a question mark: UTF-8 has none."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _rounded(value: float) -> float:
    return float(f"{value:.5g}")
