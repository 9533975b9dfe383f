"""Where a set comes from: a file or folder of CANDOR_HOME/sets, else the pulled wheel."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from services.evaluation.errors import BadOption, MissingData
from services.evaluation.suites.drawing import digest, drawn
from services.evaluation.suites.sets import wheel
from services.evaluation.suites.sets.problem import BadSet, Problem, is_known, is_letter, problem

__all__ = ["FOLDER", "choose", "digest", "known"]

FOLDER = "sets"
"""Of the data folder. A set is NAME.jsonl, NAME.csv, NAME.parquet, or a folder NAME of such files."""

_SUFFIXES = (".jsonl", ".csv", ".parquet")
_ENCODING = "utf-8-sig"
"""UTF-8, perhaps with the mark that spreadsheets begin a file with."""

_MMLU_COLUMNS = ("question", "A", "B", "C", "D", "answer")
"""MMLU's CSV files have no heading."""


def choose(home: Path, name: str, limit: int, seed: int, *, option: str = "sets") -> list[Problem]:
    """At most `limit` questions of a set, drawn by the seed: a smaller limit gives the first of a larger one's.

    `option`: the suite's that names the set. Raises BadOption for a name that no set has and for a set that breaks its
    format, MissingData without any.
    """
    names = known(home)
    if not names:
        raise MissingData(f"There is no set in {home / FOLDER}, and the package with the public ones is not here.")
    # nothing else may be read: any other text would be a path into the machine
    if name not in names:
        raise BadOption(option, f"There is no set {name!r}. Known: {', '.join(names)}.")
    try:
        found = list(_read(home, name))
    except BadSet as error:
        raise BadOption(option, f"The set {name!r} cannot be read: {error}") from error
    if not found:
        raise BadOption(option, f"The set {name!r} is empty.")
    return drawn(found, seed, lambda one: one.id)[:limit]


def known(home: Path) -> list[str]:
    """The names of the sets that can be chosen: those of the folder, and those of the wheel if it was pulled."""
    local = [path.stem for path in (home / FOLDER).glob("[!.]*") if path.suffix in _SUFFIXES or path.is_dir()]
    return sorted({*local, *(wheel.SETS if wheel.path(home) else ())})


def _read(home: Path, name: str) -> Iterator[Problem]:
    files = _files(home / FOLDER, name)
    seen = set[str]()
    if not files and name not in wheel.SETS:
        raise BadSet(f"{home / FOLDER / name} has no file of {', '.join(_SUFFIXES)}")
    for place, row in _rows(files) if files else wheel.rows(home, name):
        try:
            found = problem(row, place)
        except BadSet as error:
            raise BadSet(f"{place}: {error}") from error
        identity = f"{name}:{found.id}"
        if identity in seen:
            raise BadSet(f"{place}: the id {found.id!r} stands there twice")
        seen.add(identity)
        yield found.model_copy(update={"id": identity})


def _files(folder: Path, name: str) -> list[Path]:
    if (folder / name).is_dir():
        return sorted(path for path in (folder / name).iterdir() if path.suffix in _SUFFIXES and path.is_file())
    return [path for suffix in _SUFFIXES if (path := folder / f"{name}{suffix}").is_file()][:1]


def _rows(files: Sequence[Path]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each row with its place, which is also its id where it has none of its own."""
    readers = {".jsonl": _json_rows, ".csv": _csv_rows, ".parquet": _parquet_rows}
    for path in files:
        rows = enumerate(readers[path.suffix](path), start=1)
        while found := _next(rows, path):
            number, row = found
            yield f"{path.name}:{number}", row


def _next(rows: Iterator[tuple[int, dict[str, Any]]], path: Path) -> tuple[int, dict[str, Any]] | None:
    """The next row, None at the end. Raises BadSet for a file that is not what its name says."""
    try:
        return next(rows, None)
    except BadSet:
        raise
    except UnicodeDecodeError as error:
        raise BadSet(f"{path.name}: no UTF-8 ({error})") from error
    except csv.Error as error:
        raise BadSet(f"{path.name}: no CSV ({error})") from error
    except OSError as error:
        raise BadSet(f"{path.name} cannot be read ({error})") from error
    except ValueError as error:
        # pyarrow's errors are ValueErrors; the other readers name their own
        raise BadSet(f"{path.name}: no Parquet ({error})") from error


def _json_rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding=_ENCODING) as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise BadSet(f"{path.name}:{number}: no JSON ({error})") from error
            if not isinstance(row, dict):
                raise BadSet(f"{path.name}:{number}: not a JSON object")
            yield row


def _csv_rows(path: Path) -> Iterator[dict[str, Any]]:
    """With a heading if its first field says `question` or it has the fields of a format; else MMLU's columns, with the
    subject in the file's name."""
    with path.open(encoding=_ENCODING, newline="") as lines:
        heading: Sequence[str] = _MMLU_COLUMNS
        for number, fields in enumerate(csv.reader(lines), start=1):
            names = [field.strip() for field in fields]
            if number == 1 and fields and (names[0].lower() == "question" or is_known(names)):
                heading = names
                continue
            if not fields:
                continue
            if heading is _MMLU_COLUMNS and (len(fields) != len(heading) or not is_letter(fields[-1])):
                shown = ", ".join(names)[:200]
                raise BadSet(
                    f"{path.name}:{number}: {len(fields)} fields ({shown}), which are neither a heading of a known "
                    "format, such as question,answer, nor MMLU's without one (a question, four choices and a letter)."
                )
            if len(fields) != len(heading):
                raise BadSet(
                    f"{path.name}:{number}: {len(fields)} fields, where the heading has {len(heading)}: "
                    f"{', '.join(heading)}."
                )
            subject = path.stem.removesuffix("_test").removesuffix("_val").removesuffix("_dev").replace("_", " ")
            yield {"subject": subject, **dict(zip(heading, fields, strict=True))}


def _parquet_rows(path: Path) -> Iterator[dict[str, Any]]:
    from pyarrow import parquet  # noqa: PLC0415 - slow to import, and few folders have it

    for batch in parquet.ParquetFile(path).iter_batches(1024):
        yield from batch.to_pylist()
