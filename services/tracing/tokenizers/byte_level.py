"""Byte-level BPE: each byte is written as a character, and merges join these.

A vocabulary may lack some of the 256 bytes, which the tokenizer then drops in silence (SmolLM2's lacks 21, control
characters among them). Each such byte gets an id past the end of the vocabulary.
"""

from __future__ import annotations

import re

from tokenizers import Tokenizer as Encoder

from services.tracing.tokenizers.vocabulary import LossyTokenizer, Vocabulary, complete, ids


def vocabulary(encoder: Encoder) -> Vocabulary:
    """Raises LossyTokenizer."""
    pieces = _vocabulary_bytes(encoder)
    known = len(pieces)
    byte_ids = complete(pieces)
    return Vocabulary(encoder, pieces, byte_ids, _unwritable(pieces[known:]))


def _vocabulary_bytes(encoder: Encoder) -> list[bytes]:
    """The bytes that each id stands for."""
    to_byte = {character: byte for byte, character in enumerate(_byte_alphabet())}
    pieces = [b""] * ids(encoder)
    for piece, identity in encoder.get_vocab(with_added_tokens=False).items():
        pieces[identity] = bytes(to_byte[character] for character in piece if character in to_byte)
    for identity, added in encoder.get_added_tokens_decoder().items():
        pieces[identity] = added.content.encode("utf-8")
    return pieces


def _byte_alphabet() -> list[str]:
    """The character GPT-2's byte-level BPE writes for each byte: itself if printable, else the next from U+0100."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return [chr(byte if byte in printable else next(others)) for byte in range(256)]


def _unwritable(lacking: list[bytes]) -> re.Pattern[str]:
    """Characters whose UTF-8 needs a byte that the vocabulary lacks."""
    numbers = [piece[0] for piece in lacking]
    simple = [chr(byte) for byte in numbers if byte < 0x80]
    wide = [range(*_led_by(byte)) for byte in numbers if 0xC2 <= byte <= 0xF4]
    if any(0x80 <= byte < 0xC0 for byte in numbers):
        raise LossyTokenizer("its vocabulary lacks continuation bytes of UTF-8: train it with the whole byte alphabet")
    classes = [re.escape(character) for character in simple]
    classes += [f"{chr(span[0])}-{chr(span[-1])}" for span in wide if len(span)]
    return re.compile(f"[{''.join(classes)}]+" if classes else r"(?!)")


def _led_by(byte: int) -> tuple[int, int]:
    """The range of code points whose UTF-8 begins with this byte, 0xC2 to 0xF4."""
    if byte < 0xE0:
        return (byte & 0x1F) << 6, ((byte & 0x1F) + 1) << 6
    if byte < 0xF0:
        return max(0x800, (byte & 0x0F) << 12), ((byte & 0x0F) + 1) << 12
    return max(0x10000, (byte & 0x07) << 18), min(0x110000, ((byte & 0x07) + 1) << 18)
