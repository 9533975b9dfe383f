"""The embedded default model: the pulled dense model merged with the experts committed in this repository."""

import hashlib
import json
from pathlib import Path

from services.model.flexolmo.merge import K, merge
from services.model.flexolmo.recipe import EXPERTS, OWNERS, anchor_folder


def ensure_merged(home: Path, experts: Path = EXPERTS) -> Path:
    """Build ``home/models/candor-135m`` unless it is there and made of the files in ``experts``; returns it.

    Takes some ten seconds and 700 MB. Raises FileNotFoundError when the dense model was not pulled.
    """
    out = home / "models" / "candor-135m"
    files = [file for owner in OWNERS if (file := experts / f"{owner}.safetensors").exists()]
    recipe = {"experts": {file.stem: _sha256(file) for file in files}, "k": K}
    stamp = out / "built-from.json"
    if not stamp.exists() or json.loads(stamp.read_text(encoding="utf-8")) != recipe:
        merge(anchor_folder(home), files, out)
        stamp.write_text(json.dumps(recipe, indent=2) + "\n", encoding="utf-8")
    return out


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
