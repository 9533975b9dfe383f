"""An owner's documents as an owner has them: files of text or of JSON lines, read with what is wrong and where."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Split = Literal["train", "heldout"]


@dataclass(frozen=True)
class Document:
    """One document of an owner."""

    id: str
    text: str
    licence: str
    """Empty when its file does not say."""


class BadText(ValueError):
    """A file of text cannot be read as what its name says it is; says the file, and the line."""


def read_file(file: Path, split: Split) -> Iterator[Document]:
    """The documents of ``split`` in a file.

    ``.jsonl``: a JSON object a line with ``text`` and, if it has them, ``id``, ``licence`` and ``split``; without a
    split it is of "train". ``.txt``: one document of "train". Raises FileNotFoundError and BadText.
    """
    if file.is_dir():
        raise BadText(f"{file} is a folder: name its files instead, {_files_of(file)}.")
    if not file.is_file():
        raise FileNotFoundError(f"There is no file {file}.")
    if file.suffix == ".txt":
        return _whole(file, split)
    if file.suffix == ".jsonl":
        return _lines(file, split)
    raise BadText(f"{file} is neither .jsonl (a JSON object with text a line) nor .txt.")


def _files_of(folder: Path) -> str:
    """What to write on a command line for the files of ``folder`` that can be read."""
    kinds = [kind for kind in (".jsonl", ".txt") if any(folder.glob(f"*{kind}"))]
    return " ".join(f"{folder}/*{kind}" for kind in kinds) or "of which it holds none that ends in .jsonl or .txt"


def _whole(file: Path, split: Split) -> Iterator[Document]:
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise BadText(f"{file} is not UTF-8 text: {error}.") from error
    if split == "train" and text.strip():
        yield Document(file.name, text, "")


def _lines(file: Path, split: Split) -> Iterator[Document]:
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise BadText(f"{file}, line {number}: not JSON: {error}.") from error
            document = _document(row, f"{file}, line {number}", f"{file.name}:{number}")
            if row.get("split", "train") == split:
                yield document


def _document(row: Any, where: str, place: str) -> Document:
    if not isinstance(row, dict):
        raise BadText(f"{where}: not a JSON object.")
    if not isinstance(row.get("text"), str):
        raise BadText(f"{where}: no text (a string) in it.")
    for name in ("id", "licence", "split"):
        if not isinstance(row.get(name, ""), str):
            raise BadText(f"{where}: {name} is no string.")
    if row.get("split", "train") not in ("train", "heldout"):
        raise BadText(f"{where}: split is neither train nor heldout.")
    try:
        row["text"].encode()
    except UnicodeEncodeError as error:
        raise BadText(f"{where}: half a surrogate pair in text, which is no character.") from error
    return Document(row.get("id", place), row["text"], row.get("licence", ""))
