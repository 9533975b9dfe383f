"""What is read from the owners' files: documents, and what is wrong with what is none."""

from __future__ import annotations

from dataclasses import dataclass, field

Metadata = dict[str, str | int | float | bool]
"""What else is known of a document, by name."""


@dataclass(frozen=True)
class Document:
    """One text of an owner. `licence` is its own if its file names one."""

    id: str
    text: str
    title: str
    source: str
    licence: str
    url: str | None = None
    metadata: Metadata = field(default_factory=dict)


@dataclass(frozen=True)
class Broken:
    """What is no document, by file (below the folder of texts) and place in it; the rest of the file loads."""

    file: str
    place: str
    """`line 3`, `row 3`, `page 3`, all counted from 1; empty for the file as a whole."""
    fault: str

    def __str__(self) -> str:
        return f"{self.file}, {self.place}: {self.fault}" if self.place else f"{self.file}: {self.fault}"
