"""How docstrings become pages that a person would read: a module's page, and one for each of its larger classes."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass, field

# A class with less to say than this stands on its module's page.
_OWN_PAGE = 400


@dataclass(frozen=True)
class Page:
    """A page of documentation under the full name of what it documents."""

    name: str
    text: str


@dataclass
class Entry:
    """A function, or a class with its methods as members: heading as one would write the call, and docstring."""

    name: str
    heading: str
    docstring: str | None
    members: list[Entry] = field(default_factory=list)

    def text(self) -> str:
        """Heading, docstring and documented members, separated by blank lines."""
        blocks = [self.heading, *([inspect.cleandoc(self.docstring)] if self.docstring else [])]
        return "\n\n".join(blocks + [member.text() for member in self.members if member.says_something])

    @property
    def says_something(self) -> bool:
        """Whether there is any docstring in it."""
        return bool(self.docstring and self.docstring.strip()) or any(m.says_something for m in self.members)


def pages_of(module: Entry) -> Iterator[Page]:
    """The module's own page, then those of its larger classes."""
    large = [m for m in module.members if m.members and m.says_something and len(m.text()) >= _OWN_PAGE]
    small = [m for m in module.members if m not in large]
    page = Entry(module.name, module.heading, module.docstring, small)
    if page.says_something:
        yield Page(module.name, page.text())
    for entry in large:
        yield Page(entry.name, entry.text())
