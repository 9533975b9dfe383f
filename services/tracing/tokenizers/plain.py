"""Bytes as tokens: no vocabulary, no file, and the largest index a byte of text."""

from __future__ import annotations

import re

from services.tracing.tokenizers.vocabulary import Vocabulary


def vocabulary() -> Vocabulary:
    """A token a byte. UTF-8 never has the byte 0xFF, which is left to be the separator of documents."""
    return Vocabulary(
        encoder=None,
        pieces=[bytes([byte]) for byte in range(255)],
        byte_ids=range(256),
        unwritable=re.compile(r"[\s\S]+"),
    )
