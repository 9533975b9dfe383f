"""Which documents are held out of training."""

from __future__ import annotations

import hashlib


def held_out(document: str, share: float) -> bool:
    """Whether a document is held out; all its questions and passages go with it. `share` of all documents are."""
    digest = hashlib.sha256(document.encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64
