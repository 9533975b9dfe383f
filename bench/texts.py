"""Real text of more than 100 MB: what `candor data pull` fetched, and documentation that Debian packages carry."""

from __future__ import annotations

import gzip
import json
import random
import re
import subprocess
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from pathlib import Path

from services.retrieval.datastore.chunks import cut

_PACKAGES = ("linux-doc-6.1", "dict-gcide", "dict-foldoc", "manpages", "manpages-dev", "perl-doc", "postgresql-doc-15")
_PACKAGES_OF_PROSE = ("anarchism", "wordnet-base")
_FILES = (
    "linux-doc-6.1/**/*.txt",
    "dict-*/**/*.dict.dz",
    "manpages*/**/man?/*.gz",
    "perl-doc/**/*.pod",
    "perl-doc/**/man?/*.gz",
    "postgresql-doc-15/**/*.html",
    "anarchism/**/*.html",
    "wordnet-base/**/data.*",
)


def passages(home: Path) -> list[str]:
    """Every different passage of 256 words, shuffled with a fixed seed, so that the first n are a sample.

    Packages are fetched by name into CANDOR_HOME/bench/packages the first time. Raises CalledProcessError without
    apt-get.
    """
    found = {text[chunk.start : chunk.end] for text in documents(home) for chunk in cut(text)}
    ordered = sorted(found)
    random.Random(0).shuffle(ordered)
    return ordered


def windows(home: Path, words: int, stride: int) -> Iterator[str]:
    """Stretches of so many words of every document, each beginning `stride` words after the last one: more passages
    than there are texts for, at the price that neighbours share words."""
    for text in documents(home):
        split = text.split()
        for start in range(0, max(len(split) - words // 2, 1), stride):
            yield " ".join(split[start : start + words])


def questions(home: Path, of_each: int) -> list[str]:
    """So many of each question set that `candor data pull` fetched, those that stand alone."""
    chosen = []
    for path in sorted((home / "questions").glob("*.jsonl")):
        asked = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        alone = [question["question"] for question in asked if question.get("standalone")]
        chosen += random.Random(0).sample(alone, min(of_each, len(alone)))
    return chosen


def sentences(texts: list[str], count: int) -> list[str]:
    """Sentences of 6 to 25 words from some of the passages, as queries for text that has no questions."""
    chooser = random.Random(0)
    chosen: list[str] = []
    for text in chooser.sample(texts, len(texts)):
        whole = [part for part in re.split(r"(?<=[.!?])\s+", text)[1:-1] if 6 <= len(part.split()) <= 25]
        if whole:
            chosen.append(" ".join(chooser.choice(whole).split()))
        if len(chosen) == count:
            break
    return chosen


def documents(home: Path) -> Iterator[str]:
    """Every text, whole; some are the same."""
    for path in sorted((home / "texts").glob("*/*.jsonl")):
        with path.open(encoding="utf-8") as file:
            yield from (json.loads(line)["text"] for line in file)
    packages = unpacked(home / "bench" / "packages", (*_PACKAGES, *_PACKAGES_OF_PROSE))
    for pattern in _FILES:
        for path in sorted(packages.glob(pattern)):
            if path.is_file():
                yield _text(path)


def unpacked(folder: Path, packages: Iterable[str]) -> Path:
    """The folder that has a folder for each of these Debian packages, which are fetched the first time.

    Raises CalledProcessError without apt-get, or where it knows no such package.
    """
    for name in packages:
        target = folder / name
        if not target.exists():
            folder.mkdir(parents=True, exist_ok=True)
            subprocess.run(["apt-get", "download", "--quiet", name], cwd=folder, check=True, capture_output=True)
            (archive,) = folder.glob(f"{name}_*.deb")
            subprocess.run(["dpkg", "--extract", archive, f"{target}.part"], check=True)
            archive.unlink()
            Path(f"{target}.part").rename(target)
    return folder


def _text(path: Path) -> str:
    content = path.read_bytes()
    if path.suffix in (".gz", ".dz"):
        content = gzip.decompress(content)
    text = content.decode("utf-8", "replace")
    if path.suffix == ".html":
        return _Text.of(text)
    if path.parent.name.startswith("man"):
        return re.sub(r"^[.'](\\\".*|\w+)", "", text, flags=re.MULTILINE)
    if path.name.startswith("data."):  # WordNet: what is before the bar are numbers
        return "\n".join(line.partition("|")[2].strip() for line in text.splitlines() if "|" in line)
    return text


class _Text(HTMLParser):
    """The text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[str] = []
        self._hidden = 0

    @classmethod
    def of(cls, page: str) -> str:
        parser = cls()
        parser.feed(page)
        parser.close()
        return "".join(parser._parts)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        self._hidden += tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("script", "style")
        self._parts.append("\n" if tag in ("p", "div", "li", "tr", "pre", "h1", "h2", "h3", "dt", "dd") else " ")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self._parts.append(data)
