"""Writing an index of words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.tracing.approximate.index import FILES, FORMAT, MARK, SEPARATOR, Manifest
from services.tracing.approximate.words import Words, read
from services.tracing.index.files import write_durably, write_file
from services.tracing.index.segment import Segment
from services.tracing.index.suffixes import first_ranks, suffix_array
from services.tracing.search.arrays import Numbers
from services.tracing.search.packing import pack, width_for
from shared.durable import sync


def write_words(folder: Path, segment: Segment, first: int, last: int) -> None:
    """Index the words of the documents [first, last) of a segment, hidden ones and all."""
    keys, marks = [], []
    for number in range(first, last):
        text = segment.text(number)
        found = read(text)
        keys.append(found.keys)
        marks.append(_marks(text, found))
    lengths = np.array([one.size for one in keys], dtype=np.int64)
    lexicon, numbers = np.unique(np.concatenate(keys), return_inverse=True)
    del keys
    ends = np.cumsum(lengths)
    words = np.insert(numbers.astype(np.uint32), ends, np.uint32(SEPARATOR))
    del numbers
    suffixes, width = suffix_array(words), width_for(words.size)
    arrays: dict[str, NDArray[Any]] = {
        "words": words,
        "suffixes": pack(suffixes, width),
        "firsts": first_ranks(words, lexicon.size),
        "lexicon": lexicon,
        "documents": np.concatenate(([0], ends + np.arange(1, ends.size + 1))).astype(np.uint32),
        "marks": np.concatenate(marks).astype(np.uint32),
        "mark_edges": np.cumsum([0, *(one.size for one in marks)]).astype(np.uint32),
    }
    folder.mkdir(parents=True, exist_ok=True)
    files = {name: write_file(folder / f"{name}.bin", arrays[name]) for name in FILES}
    manifest = Manifest(format=FORMAT, words=int(suffixes.size), width=width, files=files)
    write_durably(folder / "manifest.json", manifest.model_dump_json(indent=2).encode("utf-8"))
    sync(folder)
    sync(folder.parent)


def _marks(text: str, words: Words) -> Numbers:
    """The bytes of a text at which every MARKth word begins."""
    sizes = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
    widths = 1 + (sizes > 0x7F).astype(np.int64) + (sizes > 0x7FF) + (sizes > 0xFFFF)
    before = np.concatenate(([0], np.cumsum(widths)))
    return before[words.starts[::MARK]]
