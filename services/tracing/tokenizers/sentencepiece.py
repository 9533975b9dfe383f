"""BPE as sentencepiece has it, in a tokenizer.json: `▁` stands for a space, and `<0xNN>` for a byte.

As they are, these tokenizers write a `▁` before the text, which would become a space that no one wrote: `file` takes
that out of them. What it means for an infini-gram index whose documents were tokenised with it: the first word of
each document has the tokens that it has after a space, so a document reads as if it began with a space; its
first word is found all the same, since words are looked for with and without a space. A `▁` in a text is written
as its three bytes here, and reads as a space in an index that wrote it with the piece `▁`.
"""

from __future__ import annotations

import re

from tokenizers import Tokenizer as Encoder

from services.tracing.tokenizers.vocabulary import LossyTokenizer, Vocabulary, complete, ids

SPACE = "\u2581"
BYTE = re.compile(r"<0x([0-9A-F]{2})>")


def vocabulary(encoder: Encoder, *, byte_fallback: bool) -> Vocabulary:
    """`byte_fallback`: characters without a piece are written as `<0xNN>`; else here, in ids past the vocabulary.

    Raises LossyTokenizer.
    """
    spelt = encoder.get_vocab(with_added_tokens=False)
    if SPACE not in spelt:
        raise LossyTokenizer(f"its vocabulary has no {SPACE}, which it writes for a space: take one that has")
    fallback = {piece: int(match[1], 16) for piece in spelt if byte_fallback and (match := BYTE.fullmatch(piece))}
    added = encoder.get_added_tokens_decoder()
    pieces = [b""] * ids(encoder)
    for piece, identity in spelt.items():
        pieces[identity] = bytes([fallback[piece]]) if piece in fallback else _text(piece)
    merged = [pieces[identity] for identity in spelt.values() if identity not in added]
    for identity, token in added.items():
        if token.content not in fallback:
            pieces[identity] = _text(token.content)
    # where all bytes have a piece, the encoder itself loses nothing but the difference of a space and its sign
    writable = None if len(fallback) == 256 else {piece for piece in spelt if len(piece) == 1}
    return Vocabulary(
        encoder=encoder,
        pieces=pieces,
        byte_ids=complete(pieces),
        unwritable=_unwritable(writable),
        spaced=not any(b" " in piece.lstrip(b" ") for piece in merged),
    )


def _text(piece: str) -> bytes:
    return piece.replace(SPACE, " ").encode("utf-8")


def _unwritable(writable: set[str] | None) -> re.Pattern[str]:
    """The sign of a space, and characters that are not writable; None for all being so."""
    if writable is None:
        return re.compile(f"{SPACE}+")
    return re.compile(f"[^{''.join(map(re.escape, sorted(writable - {SPACE} | {' '})))}]+")
