"""Folders in BRIGHT's format (Su et al. 2024): long queries, each with documents that are left out of its ranking."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DOCUMENTS, EXAMPLES = "documents", "examples"

_NONE = "N/A"
"""Stands in `excluded_ids` where there is none."""


@dataclass
class Examples:
    """What the file of examples says: every gold document has the grade 1."""

    queries: dict[str, str] = field(default_factory=dict)
    judgements: dict[str, dict[str, int]] = field(default_factory=dict)
    excluded: dict[str, list[str]] = field(default_factory=dict)


def is_bright(folder: Path) -> bool:
    """Whether the folder's files have BRIGHT's names."""
    return any((folder / f"{EXAMPLES}.{suffix}").is_file() for suffix in ("jsonl", "parquet"))


def examples(rows: Iterator[tuple[str, dict[str, Any]]]) -> Examples:
    """The queries of the rows of a file of examples. Raises ValueError with the place of a row that is none."""
    found = Examples()
    for place, row in rows:
        try:
            identity, text, gold = str(row["id"]), row["query"], [str(one) for one in row["gold_ids"]]
            if not isinstance(text, str):
                raise TypeError("the query is no text")
        except (KeyError, TypeError) as error:
            raise ValueError(f"{place}: not an example of BRIGHT's, with id, query and gold_ids ({error}).") from error
        found.queries[identity] = text
        found.judgements[identity] = dict.fromkeys(gold, 1)
        if excluded := left_out(row, place):
            found.excluded[identity] = excluded
    return found


def left_out(row: dict[str, Any], place: str) -> list[str]:
    """The documents that a query's ranking leaves out. Raises ValueError for what is no list of ids."""
    excluded = row.get("excluded_ids")
    excluded = [] if excluded is None else excluded
    if not isinstance(excluded, list) or not all(isinstance(one, str) for one in excluded):
        raise ValueError(f"{place}: `excluded_ids` is no list of document ids.")
    return [one for one in excluded if one != _NONE]
