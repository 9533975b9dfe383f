"""What every kind of tokenizer comes down to, and what can be wrong with one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tokenizers import Tokenizer as Encoder


class BadTokenizer(ValueError):
    """The file is no tokenizer that texts can be traced with. The message says why and what to do."""


class LossyTokenizer(BadTokenizer):
    """The tokenizer does not give a text back byte for byte, so no match could be called verbatim."""


@dataclass(frozen=True)
class Vocabulary:
    """The pieces that text is cut into.

    `pieces[id]` are the bytes of a token. `byte_ids[b]` is a token that is byte b alone; all 256 are there. Text
    that matches `unwritable` is written with these; all else by `encoder`, which gives it back byte for byte.
    `spaced`: no merge crosses the edge before a space that follows another character, though no pre-tokenizer cuts.
    """

    encoder: Encoder | None
    pieces: Sequence[bytes]
    byte_ids: Sequence[int]
    unwritable: re.Pattern[str]
    spaced: bool = False


def ids(encoder: Encoder) -> int:
    """How many ids there are: the largest and one; a vocabulary may have gaps."""
    return max(encoder.get_vocab(with_added_tokens=True).values(), default=-1) + 1


def complete(pieces: list[bytes]) -> list[int]:
    """The id of each single byte; bytes the vocabulary lacks are appended to it."""
    known = {piece: identity for identity, piece in reversed(list(enumerate(pieces))) if len(piece) == 1}
    for byte in range(256):
        if bytes([byte]) not in known:
            known[bytes([byte])] = len(pieces)
            pieces.append(bytes([byte]))
    return [known[bytes([byte])] for byte in range(256)]
