"""Text to token ids and back, byte for byte.

An index holds its text only as tokens, and a match is promised to be verbatim, so encoding must lose nothing.
Byte-level BPE nearly keeps that promise: a vocabulary may lack some of the 256 bytes, which the tokenizer then
drops in silence (SmolLM2's lacks 21, control characters among them). Each such byte gets an id past the end of
the vocabulary.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer as Encoder

Ids = NDArray[np.unsignedinteger[Any]]
"""Token ids, uint16 while they fit below 0xFFFF (the document separator) and uint32 otherwise."""


class LossyTokenizer(ValueError):
    """The tokenizer does not give a text back byte for byte, so no match could be called verbatim."""


class Encoded(NamedTuple):
    """`ids[i]` is token i; `words[i]` numbers the pre-token it is part of, which no merge crosses."""

    ids: Ids
    words: NDArray[np.int64]


class Tokenizer:
    """A byte-level BPE tokenizer from a `tokenizer.json`. Encodes special tokens' names as plain text."""

    def __init__(self, path: Path) -> None:
        content = path.read_bytes()
        self.name = path.parent.name
        self._encoder = Encoder.from_str(content.decode("utf-8"))
        self._encoder.encode_special_tokens = True
        self._bytes = _vocabulary_bytes(self._encoder)
        self._byte_ids = _complete(self._bytes)
        self._unwritable = _unwritable(self._bytes, self._encoder.get_vocab_size(with_added_tokens=True))
        self.size = len(self._bytes)
        self.dtype: np.dtype[np.unsignedinteger[Any]] = np.dtype(np.uint16 if self.size < 0xFFFF else np.uint32)
        self.lengths = np.array([len(piece) for piece in self._bytes], dtype=np.int64)
        self.terms, self.term_count = _terms(self._bytes)
        # an index counts terms, so it depends on how tokens are folded to them as much as on the tokens
        self.fingerprint = hashlib.sha256(content + self.terms.tobytes()).hexdigest()
        self.word = lru_cache(maxsize=1 << 16)(self._word)

    @property
    def separator(self) -> int:
        """The id that ends a document: the largest of the dtype, so no token of a text has it and it sorts last."""
        return int(np.iinfo(self.dtype.type).max)

    def encode(self, text: str) -> Encoded:
        """Token ids of a text. Raises UnicodeEncodeError for a lone surrogate, LossyTokenizer for a lossy one."""
        ids: list[int] = []
        words: list[int] = []
        for part, writable in self._parts(text):
            first = words[-1] + 1 if words else 0
            if writable:
                encoding = self._encoder.encode(part, add_special_tokens=False)
                ids += encoding.ids
                words += [first + (word or 0) for word in encoding.word_ids]
            else:
                raw = [self._byte_ids[byte] for byte in part.encode("utf-8")]
                ids += raw
                words += [first] * len(raw)
        return Encoded(self._checked(ids, text), np.array(words, dtype=np.int64))

    def encode_many(self, texts: Sequence[str]) -> list[Ids]:
        """Token ids of many texts, in all threads the tokenizer library takes."""
        if any(self._unwritable.search(text) for text in texts):
            return [self.encode(text).ids for text in texts]
        encodings = self._encoder.encode_batch_fast(list(texts), add_special_tokens=False)
        return [self._checked(encoding.ids, text) for encoding, text in zip(encodings, texts, strict=True)]

    def decode(self, ids: Ids | Sequence[int]) -> bytes:
        """The UTF-8 bytes of tokens; a slice of tokens may begin or end inside a character."""
        return b"".join([self._bytes[identity] for identity in np.asarray(ids).tolist()])

    def _word(self, text: str) -> tuple[int, ...]:
        """Token ids of one word, remembered: the words of answers repeat."""
        return tuple(self.encode(text).ids.tolist())

    def _parts(self, text: str) -> list[tuple[str, bool]]:
        """The text cut into stretches the vocabulary can write and ones it cannot."""
        cuts = [0, *[edge for match in self._unwritable.finditer(text) for edge in match.span()], len(text)]
        stretches = enumerate(pairwise(cuts))
        return [(text[start:end], number % 2 == 0) for number, (start, end) in stretches if start < end]

    def _checked(self, ids: Sequence[int], text: str) -> Ids:
        if b"".join([self._bytes[identity] for identity in ids]) != text.encode("utf-8"):
            raise LossyTokenizer(f"{self.name} does not give the text back: {text[:60]!r}")
        return np.array(ids, dtype=self.dtype)


def _vocabulary_bytes(encoder: Encoder) -> list[bytes]:
    """The bytes that each id stands for."""
    to_byte = {character: byte for byte, character in enumerate(_byte_alphabet())}
    pieces = [b""] * encoder.get_vocab_size(with_added_tokens=True)
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


def _complete(pieces: list[bytes]) -> list[int]:
    """The id of each single byte; bytes the vocabulary lacks are appended to it."""
    known = {piece: identity for identity, piece in reversed(list(enumerate(pieces))) if len(piece) == 1}
    for byte in range(256):
        if bytes([byte]) not in known:
            known[bytes([byte])] = len(pieces)
            pieces.append(bytes([byte]))
    return [known[bytes([byte])] for byte in range(256)]


def _unwritable(pieces: list[bytes], vocabulary: int) -> re.Pattern[str]:
    """Characters whose UTF-8 needs a byte that the vocabulary lacks."""
    lacking = {piece[0] for piece in pieces[vocabulary:]}
    simple = [chr(byte) for byte in lacking if byte < 0x80]
    wide = [range(*_led_by(byte)) for byte in lacking if 0xC2 <= byte <= 0xF4]
    if any(0x80 <= byte < 0xC0 for byte in lacking):
        raise LossyTokenizer("the vocabulary lacks continuation bytes: it is not a byte-level one")
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


def _terms(pieces: list[bytes]) -> tuple[NDArray[np.uint32], int]:
    """Tokens folded for relevance: "Paris", " Paris" and " paris" are one term; term 0 is all that is no word."""
    numbers: dict[str | bytes, int] = {"": 0}
    table = np.zeros(len(pieces), dtype=np.uint32)
    for identity, piece in enumerate(pieces):
        try:
            text = piece.decode("utf-8").strip().casefold()
            folded: str | bytes = text if any(character.isalnum() for character in text) else ""
        except UnicodeDecodeError:
            folded = piece
        table[identity] = numbers.setdefault(folded, len(numbers))
    return table, len(numbers)
