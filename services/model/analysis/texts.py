"""Texts to analyse, by domain, from files and folders."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path


def read_domains(paths: Sequence[Path]) -> dict[str, list[str]]:
    """A domain for each path, named by its file or folder.

    A `.jsonl` file has a document a line, under `text`; a line whose `split` is `train` is left out, because an expert
    that was trained on it would recognise it. Any other file is one document. A folder is its `.jsonl` and `.txt`
    files. Raises ValueError for a path without a document, two of one name, or a line that is no document.
    """
    domains: dict[str, list[str]] = {}
    for path in paths:
        files = sorted([*path.glob("*.jsonl"), *path.glob("*.txt")]) if path.is_dir() else [path]
        name = path.resolve().name if path.is_dir() else path.stem
        if name in domains:
            raise ValueError(f"two texts are called {name!r}: a domain needs a name of its own")
        domains[name] = [document for file in files for document in _documents(file)]
        if not domains[name]:
            raise ValueError(f"there is no text outside the training split in {path}")
    return domains


def _documents(file: Path) -> list[str]:
    if not file.is_file():
        raise ValueError(f"there is no file {file}")
    try:
        content = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is no UTF-8 text: {error}") from error
    if file.suffix != ".jsonl":
        return [content] if content.strip() else []
    documents = []
    for number, line in enumerate(content.splitlines(), 1):
        try:
            row = json.loads(line) if line.strip() else {"split": "train"}
            if row.get("split") != "train":
                documents.append(str(row["text"]))
        except (ValueError, KeyError, AttributeError) as error:
            raise ValueError(f"{file}, line {number}: not a JSON object with a text") from error
    return documents
