"""The embedded default model: the pulled dense model merged with the experts committed in this repository."""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from services.model.flexolmo.families import K
from services.model.flexolmo.merge import merge
from services.model.flexolmo.recipe import EXPERTS, OWNERS, anchor_folder
from shared.lock import locked

_STAMP = "built-from.json"
"""Written last: what the folder was built from."""
_FORM = 2
"""Of what a merge writes; another one is built anew. 2: with the experts' own files."""


def ensure_merged(home: Path, experts: Path = EXPERTS) -> Path:
    """Build ``home/models/candor-135m`` unless it is there and made of the files in ``experts``; returns it.

    Takes some ten seconds and 700 MB; who comes while another builds waits, and finds it built. Raises
    FileNotFoundError when the dense model was not pulled.
    """
    files = [file for owner in OWNERS if (file := experts / f"{owner}.safetensors").exists()]
    made_of = {"experts": {file.stem: sha256_of(file) for file in files}, "k": K, "form": _FORM}
    return ensure(home, "candor-135m", made_of, lambda anchor, out: merge(anchor, files, out))


def ensure(home: Path, name: str, made_of: Mapping[str, Any], build: Callable[[Path, Path], Path]) -> Path:
    """The folder ``home/models/name``; unless it is there, made of what ``made_of`` says, ``build`` writes it first.

    ``build`` takes the folder of the pulled dense model and the one to write. Raises FileNotFoundError when the dense
    model was not pulled.
    """
    out, recipe = home / "models" / name, json.dumps(made_of, indent=2) + "\n"
    # first without the lock: where it is built, the folder may be one that cannot be written
    if not _built(out, recipe):
        anchor = anchor_folder(home)
        with locked(out.with_name(f".{out.name}.lock")):
            if not _built(out, recipe):
                for left_by_a_killed_build in out.parent.glob(f"{out.name}.*.part"):
                    shutil.rmtree(left_by_a_killed_build)
                build(anchor, out)
                (out / _STAMP).write_text(recipe, encoding="utf-8")
    return out


def sha256_of(file: Path) -> str:
    """The SHA-256 of a file's bytes, in hex."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _built(out: Path, recipe: str) -> bool:
    stamp = out / _STAMP
    return stamp.exists() and stamp.read_text(encoding="utf-8") == recipe
