"""What tells two checkpoints apart: expert 2 of one may be another owner's than expert 2 of the other."""

from __future__ import annotations

import hashlib
from pathlib import Path


def fingerprint(directory: Path) -> str:
    """SHA-256, in hexadecimal, over config.json, candor.json if there is one, and the names and sizes of the weights.

    services.model.engines.vllm.fingerprint computes the same on the other side of the socket.
    """
    digest = hashlib.sha256()
    for name in ("config.json", "candor.json"):
        file = directory / name
        digest.update(name.encode() + b"\0" + (file.read_bytes() if file.is_file() else b"") + b"\0")
    for weights in sorted(directory.glob("*.safetensors")):
        digest.update(f"{weights.name}\0{weights.stat().st_size}\0".encode())
    return digest.hexdigest()
