"""Two folders that change places at once, which Python has no call for."""

from __future__ import annotations

import ctypes
import os
import sys
from errno import EINVAL, ENOSYS, ENOTSUP
from pathlib import Path
from uuid import uuid4

_HERE = -100  # AT_FDCWD: paths are as the process sees them
_EXCHANGE = 2  # RENAME_EXCHANGE and RENAME_SWAP


def exchange(one: Path, other: Path) -> None:
    """Have two folders of one file system change places.

    In one step where the system and the file system can (Linux 3.15 with ext4, xfs, btrfs or tmpfs; APFS); elsewhere
    there is a moment at which nothing is at `other`.
    """
    if not _at_once(os.fsencode(one), os.fsencode(other)):
        aside = one.with_name(f"{one.name}-{uuid4().hex}")
        other.rename(aside)
        one.rename(other)
        aside.rename(one)


def _at_once(one: bytes, other: bytes) -> bool:
    system = ctypes.CDLL(None, use_errno=True)
    try:
        if sys.platform == "darwin":
            failed = system.renamex_np(one, other, _EXCHANGE)
        else:
            failed = system.renameat2(_HERE, one, _HERE, other, _EXCHANGE)
    except AttributeError:  # a C library without it
        return False
    if not failed:
        return True
    code = ctypes.get_errno()
    if code in (EINVAL, ENOSYS, ENOTSUP):
        return False
    raise OSError(code, os.strerror(code), os.fsdecode(other))
