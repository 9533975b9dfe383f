"""Real text for an index of 200 million tokens: documentation first, and then the source of Linux.

`documentation` is what bench.texts has (Candor's own texts, Linux, manual pages, Perl, PostgreSQL, dictionaries) and
the documentation of more Debian packages; `linux` is the kernel's source, without the tables of registers of its
graphics drivers. Packages are fetched by name into CANDOR_HOME/bench/packages the first time.
"""

from __future__ import annotations

import gzip
import hashlib
import html
import json
import re
import tarfile
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from bench.texts import documents, unpacked

LONGEST = 50_000
"""Characters of a document: longer texts, such as a dictionary, are cut at the end of a paragraph or line."""
SHORTEST = 200

_DOCUMENTATION = {
    "python3.11-doc": "**/*.html",
    "erlang-doc": "**/*.html",
    "libreoffice-help-en-us": "**/*.html",
    "libreoffice-help-de": "**/*.html",
    "libreoffice-help-fr": "**/*.html",
    "libreoffice-help-es": "**/*.html",
    "gnome-user-docs": "**/*.page",
    "gimp-help-en": "**/*.html",
    "debian-handbook": "**/*.html",
    "lilypond-doc-html": "**/*.html",
    "manpages-de": "**/*.gz",
    "manpages-fr": "**/*.gz",
    "sqlite3-doc": "**/*.html",
    "llvm-14-doc": "**/*.html",
    "qtbase5-doc-html": "**/*.html",
    "ghc-doc": "**/*.html",
    "openjdk-17-doc": "**/*.html",
    "bible-kjv-text": "**/*.gz",
}
_PARAGRAPH = "\f"
"""White space that marks the end of a paragraph until it is written as an empty line."""
_LINUX = "linux-source-6.1"
_WRITTEN = (".c", ".h", ".S", ".rst", ".txt")
_TABLES = "/drivers/gpu/drm/amd/include/"


def pulled(home: Path) -> Iterator[str]:
    """Every different document that `candor data pull` fetched."""
    lines = (line for path in sorted((home / "texts").glob("*/*.jsonl")) for line in path.open(encoding="utf-8"))
    yield from pieces(json.loads(line)["text"] for line in lines)


def documentation(home: Path) -> Iterator[str]:
    """Every different document."""
    folder = unpacked(home / "bench" / "packages", _DOCUMENTATION)
    files = (path for name, pattern in _DOCUMENTATION.items() for path in sorted((folder / name).glob(pattern)))
    more = (_text(path) for path in files if path.is_file() and not path.is_symlink())
    yield from pieces(chain(documents(home), more))


def linux(home: Path) -> Iterator[str]:
    """Every different file of the kernel's source that a person wrote."""
    folder = unpacked(home / "bench" / "packages", (_LINUX,))
    (archive,) = (folder / _LINUX).glob("usr/src/*.tar.xz")
    with tarfile.open(archive, "r|xz") as files:
        yield from pieces(
            content.read().decode("utf-8", "replace")
            for member in files
            if member.isfile() and member.name.endswith(_WRITTEN) and _TABLES not in member.name
            if (content := files.extractfile(member))
        )


def pieces(texts: Iterable[str]) -> Iterator[str]:
    """Texts cut to LONGEST, without what is very short or was there before."""
    seen: set[bytes] = set()
    for text in texts:
        for piece in _cut(text.replace("\x00", "")):
            digest = hashlib.blake2b(piece.encode("utf-8", "replace"), digest_size=16).digest()
            if len(piece) >= SHORTEST and digest not in seen:
                seen.add(digest)
                yield piece


def _cut(text: str) -> Iterator[str]:
    start = 0
    while len(text) - start > LONGEST:
        end = max(text.rfind(mark, start + LONGEST // 2, start + LONGEST) for mark in ("\n\n", "\n"))
        end = end + 1 if end > 0 else start + LONGEST
        yield text[start:end].strip()
        start = end
    yield text[start:].strip()


def _text(path: Path) -> str:
    content = path.read_bytes()
    if path.suffix == ".gz":
        content = gzip.decompress(content)
        return re.sub(r"^[.'](\\\".*|\w+)", "", content.decode("utf-8", "replace"), flags=re.MULTILINE)
    return _stripped(content.decode("utf-8", "replace"))


def _stripped(page: str) -> str:
    """The text of a page, good enough for counting words in it."""
    page = re.sub(r"(?is)<(script|style|head)\b.*?</\1>|<!--.*?-->", " ", page)
    page = re.sub(r"(?i)</?(p|pre|h\d|table|title|section)\b[^>]*>", f"{_PARAGRAPH}", page)
    page = re.sub(r"(?i)</?(div|li|tr|dt|dd|br|ul|ol)\b[^>]*>", "\n", page)
    page = html.unescape(re.sub(r"<[^>]*>", "", page))
    return re.sub(r"\s+", _gap, page)


def _gap(found: re.Match[str]) -> str:
    white = found.group()
    return "\n\n" if _PARAGRAPH in white else "\n" if "\n" in white else " "
