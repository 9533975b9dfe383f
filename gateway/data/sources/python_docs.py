"""Python's own documentation, from the interpreter that runs: help topics, and docstrings of the standard library.

Modules written in Python are parsed, not imported: importing some of them opens windows, prints poems or fails.
Only modules compiled into the interpreter have to be imported to be read.
"""

from __future__ import annotations

import platform
import pydoc_data.topics
import re

from gateway.data.records import opening
from gateway.data.sources import compiled, parsed
from gateway.data.sources.base import Passages, Reading, TextSource

VERSION = platform.python_version()

TOPICS = TextSource(
    name="python-topics",
    owner="python",
    licence="PSF-2.0",
    origin=f"CPython {VERSION}, pydoc_data.topics",
    url=f"https://docs.python.org/{VERSION.rpartition('.')[0]}/reference/",
    note="From the interpreter that pulled: another version of Python has other text.",
)
DOCSTRINGS = TextSource(
    name="python-docstrings",
    owner="python",
    licence="PSF-2.0",
    origin=f"CPython {VERSION}, docstrings of the standard library",
    url=f"https://docs.python.org/{VERSION.rpartition('.')[0]}/library/",
    note="From the interpreter that pulled: another version of Python has other text.",
)

# A page shorter than this says no more than a name.
_SHORTEST = 80
_UNDERLINE = re.compile(r"\n[*=-]{3,}\n")


def read_topics() -> Reading:
    """A document for each topic of `help()`."""
    return Reading(
        [
            TOPICS.document(name, title=opening(_UNDERLINE.split(text, maxsplit=1)[0].strip()), text=text)
            for name, text in sorted(pydoc_data.topics.topics.items())
        ]
    )


def read_docstrings() -> Reading:
    """A document for each module, with its functions and small classes, and one for each larger class."""
    passages = Passages(DOCSTRINGS)
    named: set[str] = set()
    # Parsed modules first: what a compiled twin of `datetime` or `_bisect` repeats is then dropped.
    for page in [*parsed.pages(), *compiled.pages()]:
        if len(page.text) >= _SHORTEST and page.name not in named:
            named.add(page.name)
            passages.add(page.text, title=page.name, key=page.name)
    return Reading(passages.documents())
