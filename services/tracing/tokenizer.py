"""Text to token ids and back, byte for byte.

An index holds its text only as tokens, and a match is promised to be verbatim, so encoding must lose nothing. What
the vocabulary of a tokenizer cannot write is written in bytes, if need be with ids past its end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding

from services.tracing.tokenizers import plain
from services.tracing.tokenizers.file import read_vocabulary
from services.tracing.tokenizers.terms import fold
from services.tracing.tokenizers.vocabulary import BadTokenizer, LossyTokenizer

__all__ = ["BadTokenizer", "Encoded", "Ids", "LossyTokenizer", "Tokenizer"]

Ids = NDArray[np.unsignedinteger[Any]]
"""Token ids: uint8 for bytes; else uint16 while all are below 0xFFFF, which separates documents; else uint32."""


class Encoded(NamedTuple):
    """`ids[i]` is token i; `words[i]` numbers the pre-token it is part of, which no merge crosses."""

    ids: Ids
    words: NDArray[np.int64]


class Tokenizer:
    """A BPE tokenizer from a `tokenizer.json`, byte-level or sentencepiece's; without a file, bytes.

    A text's own tokens and nothing more: names of special tokens are plain text, and no space is put before it.
    """

    def __init__(self, path: Path | None = None) -> None:
        """Raises BadTokenizer, LossyTokenizer."""
        self._path = path
        content = b"" if path is None else path.read_bytes()
        self.name = "bytes" if path is None else path.parent.name
        try:
            self._vocabulary = plain.vocabulary() if path is None else read_vocabulary(content)
        except BadTokenizer as error:
            raise type(error)(f"{path} cannot be used for tracing: {error}.") from error
        self._bytes = list(self._vocabulary.pieces)
        self._byte_ids = np.array(self._vocabulary.byte_ids)
        self.size = len(self._bytes)
        self.dtype: np.dtype[np.unsignedinteger[Any]] = np.dtype(_narrowest(self.size))
        self.lengths = np.array([len(piece) for piece in self._bytes], dtype=np.int64)
        self._spaced = np.array([(piece[:1] == b" ", piece[-1:] == b" ") for piece in self._bytes])
        self.terms, self.term_count = fold(self._bytes)
        # an index counts terms, so it depends on how tokens are folded to them as much as on the tokens
        self.fingerprint = hashlib.sha256(content + self.terms.tobytes()).hexdigest()

    def __reduce__(self) -> tuple[type[Tokenizer], tuple[Path | None]]:
        """Pickled by its file: another process reads it again."""
        return Tokenizer, (self._path,)

    @property
    def separator(self) -> int:
        """The id that ends a document: the largest of the dtype, so no token of a text has it and it sorts last."""
        return int(np.iinfo(self.dtype.type).max)

    def encode(self, text: str) -> Encoded:
        """Token ids of a text. Raises UnicodeEncodeError for a lone surrogate, LossyTokenizer for a lossy one."""
        ids = [np.zeros(0, dtype=self.dtype)]
        words = [np.zeros(0, dtype=np.int64)]
        seen = 0
        for part, writable in self._parts(text):
            more, within = self._written(part) if writable else self._spelt(part)
            ids.append(more)
            words.append(within + seen)
            seen += int(within[-1]) + 1
        return Encoded(np.concatenate(ids), np.concatenate(words))

    def encode_many(self, texts: Sequence[str]) -> list[Ids]:
        """Token ids of many texts, in all threads the tokenizer library takes."""
        encoder, unwritable = self._vocabulary.encoder, self._vocabulary.unwritable
        if encoder is None:
            return [self.encode(text).ids for text in texts]
        found: list[Ids | None] = [self.encode(text).ids if unwritable.search(text) else None for text in texts]
        rest = [(text, text.encode("utf-8")) for text, ids in zip(texts, found, strict=True) if ids is None]
        encodings = encoder.encode_batch_fast([text for text, _ in rest], add_special_tokens=False)
        written = (self._checked(encoding, data) for encoding, (_, data) in zip(encodings, rest, strict=True))
        return [next(written) if ids is None else ids for ids in found]

    def spell(self, text: str) -> list[int]:
        """The ids that `encode` gives, sooner for a word or two."""
        encoder = self._vocabulary.encoder
        if encoder is None or self._vocabulary.unwritable.search(text):
            return list(map(int, self.encode(text).ids))
        data = text.encode("utf-8")
        return self._same(encoder.encode(text, add_special_tokens=False).ids, data)

    def decode(self, ids: Ids | Sequence[int]) -> bytes:
        """The UTF-8 bytes of tokens; a slice of tokens may begin or end inside a character."""
        numbers = ids if isinstance(ids, list) else np.asarray(ids).tolist()
        return b"".join([self._bytes[identity] for identity in numbers])

    def _parts(self, text: str) -> list[tuple[str, bool]]:
        """The text cut into stretches the vocabulary can write and ones it cannot."""
        cuts = [0, *[edge for match in self._vocabulary.unwritable.finditer(text) for edge in match.span()], len(text)]
        stretches = enumerate(pairwise(cuts))
        return [(text[start:end], number % 2 == 0) for number, (start, end) in stretches if start < end]

    def _written(self, text: str) -> Encoded:
        """A stretch in the vocabulary's pieces."""
        assert self._vocabulary.encoder is not None
        data = text.encode("utf-8")  # first, since the library's error for a lone surrogate is no UnicodeEncodeError
        encoding = self._vocabulary.encoder.encode(text, add_special_tokens=False)
        ids = self._checked(encoding, data)
        numbers = np.array([word or 0 for word in encoding.word_ids], dtype=np.int64)
        begins = np.diff(numbers, prepend=numbers[:1]) != 0
        if self._vocabulary.spaced:
            begins[1:] |= self._spaced[ids[1:], 0] & ~self._spaced[ids[:-1], 1]
        return Encoded(ids, np.cumsum(begins))

    def _spelt(self, text: str) -> Encoded:
        """A stretch in bytes, each character a word of its own."""
        data = np.frombuffer(text.encode("utf-8"), dtype=np.uint8)
        return Encoded(self._byte_ids[data].astype(self.dtype), np.cumsum((data & 0xC0) != 0x80) - 1)

    def _checked(self, encoding: Encoding, data: bytes) -> Ids:
        return np.array(self._same(encoding.ids, data), dtype=self.dtype)

    def _same(self, ids: list[int], data: bytes) -> list[int]:
        if self.decode(ids) != data:
            raise LossyTokenizer(f"{self.name} does not give the text back: {data[:60].decode('utf-8', 'ignore')!r}")
        return ids


def _narrowest(size: int) -> type[np.unsignedinteger[Any]]:
    """The dtype for so many ids and, as its largest number, the separator."""
    return np.uint8 if size <= 0xFF else np.uint16 if size <= 0xFFFF else np.uint32
