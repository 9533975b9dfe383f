"""Fields that few of a segment's documents have, in one Arrow column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

RARE = "rare"
"""The column's name, which no field has: theirs begin with their type."""

TYPES = {"s": pa.large_string(), "n": pa.float64(), "b": pa.bool_()}
"""By the letter with which a field's name begins."""


class Rare:
    """By document a list of names, each with its value in the member of its type."""

    def __init__(self, column: Any) -> None:
        """`column`: an array as `column` makes it."""
        self._column = column
        self._said = column.flatten()
        self._names = self._said.field("name")

    @staticmethod
    def column(names: Sequence[Sequence[str]], rows: Sequence[Mapping[str, Any]]) -> Any:
        """An array of these names of each row, with the values that the row has of them."""
        said = [(name, row[name]) for mine, row in zip(names, rows, strict=True) for name in mine]
        members = [pa.array([name for name, _ in said], pa.large_string()).dictionary_encode()]
        members += [
            pa.array([value if name[0] == letter else None for name, value in said], kind)
            for letter, kind in TYPES.items()
        ]
        offsets = [0, *accumulate(map(len, names))]
        return pa.LargeListArray.from_arrays(
            pa.array(offsets, pa.int64()), pa.StructArray.from_arrays(members, ["name", *TYPES])
        )

    def find(self, name: str) -> Any | None:
        """A column of the values of one name by document, null for those without; None if no document has it."""
        number = pc.index(self._names.dictionary, pa.scalar(name, pa.large_string())).as_py()
        if number < 0:
            return None
        places = np.flatnonzero(np.asarray(self._names.indices) == number)
        of = np.full(len(self._column), -1)
        of[np.asarray(pc.list_parent_indices(self._column))[places]] = places
        return pa.chunked_array([self._said.field(name[0]).take(pa.array(of, mask=of < 0))])
