"""Arrays in files: written durably with their checksums, and opened as read-only maps."""

from __future__ import annotations

import hashlib
import mmap
import os
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

Scalar = TypeVar("Scalar", bound=np.generic)


class File(BaseModel):
    """Size and checksum of one file."""

    bytes: int
    sha256: str


def write_durably(path: Path, data: bytes) -> None:
    """Write a file and wait until it is on disk, so that nothing published can name what a power cut loses."""
    with path.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def write_file(path: Path, array: NDArray[Any]) -> File:
    """Write an array durably."""
    data = array.tobytes()
    write_durably(path, data)
    return File(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


def described(path: Path) -> File:
    """Size and checksum of a file that is there, which is on disk then."""
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
    return File(bytes=path.stat().st_size, sha256=_sha256(path))


def is_whole(path: Path, file: File) -> bool:
    """Whether a file is what was written, by its size and checksum."""
    return path.is_file() and path.stat().st_size == file.bytes and _sha256(path) == file.sha256


def map_file(path: Path, dtype: type[Scalar]) -> NDArray[Scalar]:
    """A read-only view of a file; an ndarray and not a memmap, so that numba sees one type.

    What is not in memory is read by the page: a search looks at places far apart, and reading ahead of each would have
    the first one after a start read the better part of an index.
    """
    with path.open("rb") as stream:
        view = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    view.madvise(mmap.MADV_RANDOM)
    return np.frombuffer(view, dtype=dtype)


def no_ranks() -> NDArray[np.uint32]:
    """The dead ranks of an index that hides nothing; read-only like all others, so that the search has one type."""
    none = np.zeros(0, dtype=np.uint32)
    none.flags.writeable = False
    return none


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
