"""A checkpoint's tokenizer: text and conversations to tokens, and tokens back to text and bytes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

_TAIL = 16
"""Tokens at the end of a prompt that may open what a turn begins with."""


class TemplateError(ValueError):
    """The conversation cannot be put into the model's chat template."""


class Tokenizer:
    """Wraps a fast tokenizer of transformers."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.bytes_of = lru_cache(maxsize=None)(self._bytes_of)

    @classmethod
    def load(cls, directory: Path) -> Tokenizer:
        """Load from a directory in transformers' format."""
        return cls(AutoTokenizer.from_pretrained(directory, local_files_only=True))

    def encode(self, text: str, *, special: bool = True) -> list[int]:
        """The tokens of a text, which may write control tokens by their names.

        `special`: with those that the model wants at its beginning.
        """
        tokens: list[int] = self._tokenizer.encode(text, add_special_tokens=special)
        return tokens

    def decode(self, tokens: Sequence[int], *, special: bool = False) -> str:
        """The text of tokens, with or without the special ones; bytes that are not UTF-8 become U+FFFD."""
        text: str = self._tokenizer.decode(
            list(tokens), skip_special_tokens=not special, clean_up_tokenization_spaces=False
        )
        return text

    def pieces(self, tokens: Sequence[int]) -> list[str]:
        """Tokens as the vocabulary spells them (a space may be `Ġ` or `▁`); empty for one it does not have."""
        return [piece or "" for piece in self._tokenizer.convert_ids_to_tokens(list(tokens))]

    @property
    def template(self) -> str | None:
        """The chat template, in Jinja's language."""
        template: str | None = self._tokenizer.chat_template
        return template

    def special_names(self) -> dict[str, Any]:
        """The tokens with a part of their own, by `bos_token`, `eos_token`, `pad_token`, `unk_token`."""
        names: dict[str, Any] = self._tokenizer.special_tokens_map
        return names

    def conversation(self, turns: Sequence[tuple[str, str]], *, continue_last: bool, answer: bool = True) -> list[int]:
        """The tokens of a conversation of (role, content), up to where the assistant goes on.

        With `continue_last` the last turn is the beginning of the assistant's answer; otherwise a new answer
        begins, if there is to be an `answer`. Control tokens are the template's alone: where a turn writes one by its
        name (`<|im_end|>`), it is plain text, or whoever wrote that text could end the turn and speak as another.
        Raises TemplateError when the model has no chat template, or the template refuses.
        """
        if self._tokenizer.chat_template is None:
            raise TemplateError("this model has no chat template; use /v1/completions")
        if continue_last and not turns[-1][1].strip():
            turns, continue_last = turns[:-1], False
        try:
            encoded = self._tokenizer.apply_chat_template(
                [{"role": role, "content": content} for role, content in turns],
                add_generation_prompt=answer and not continue_last,
                continue_final_message=continue_last,
                sanitize_control_tokens=True,
                return_dict=True,
            )
        # templates are programs of the model's author, and fail in as many ways
        except Exception as error:
            raise TemplateError(f"the model's chat template refuses these messages: {error}") from error
        tokens: list[int] = encoded["input_ids"]
        return tokens

    def begun(self, turns: Sequence[tuple[str, str]], text: str, control: Sequence[str]) -> list[int]:
        """The tokens of a conversation, of what the template writes before an answer, and of the answer's beginning.

        In `text` those of `control` that the tokenizer has as tokens are tokens; all else of it is plain text. Its
        beginning is left out as far as the template has written it: some open the thinking by themselves.
        Raises TemplateError.
        """
        tokens = self.conversation(turns, continue_last=False)
        text = text[_overlap(self.decode(tokens[-_TAIL:], special=True), text) :]
        known = [name for name in control if name in self._tokenizer.added_tokens_encoder]
        pieces = re.split(f"({'|'.join(map(re.escape, known))})", text) if known else [text]
        for place, piece in enumerate(pieces):
            if place % 2:
                tokens.append(self._tokenizer.convert_tokens_to_ids(piece))
            elif piece:
                tokens += self._inner(piece)
        return tokens

    def name(self, token: int) -> str:
        """A token as text; one that is a part of a character is written as OpenAI does, `bytes:\\xe2\\x82`."""
        raw = self.bytes_of(token)
        try:
            return raw.decode()
        except UnicodeDecodeError:
            return "bytes:" + "".join(f"\\x{byte:02x}" for byte in raw)

    def _bytes_of(self, token: int) -> bytes:
        piece: str | None = self._tokenizer.convert_ids_to_tokens(token)
        if piece is None:
            return b""
        if token not in self._special:
            if self._byte_level:
                return b"".join(_BYTES.get(character, character.encode()) for character in piece)
            if len(piece) == 6 and piece.startswith("<0x"):
                return bytes([int(piece[3:5], 16)])
        return piece.replace("\u2581", " ").encode()

    def _inner(self, text: str) -> list[int]:
        """The tokens of plain text that does not begin a text: after a line, or some would put a space before it."""
        line, after = self._plain("\n"), self._plain(f"\n{text}")
        return after[len(line) :] if after[: len(line)] == line else self._plain(text)

    def _plain(self, text: str) -> list[int]:
        tokens: list[int] = self._tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
        return tokens

    @cached_property
    def _special(self) -> frozenset[int]:
        return frozenset(self._tokenizer.added_tokens_decoder)

    @cached_property
    def _byte_level(self) -> bool:
        return "ByteLevel" in str(self._tokenizer.backend_tokenizer.decoder)


def _overlap(written: str, text: str) -> int:
    """How much of the beginning of `text` stands at the end of `written`; whitespace alone does not count."""
    for length in range(min(len(written), len(text)), 0, -1):
        if text[:length].strip() and written.endswith(text[:length]):
            return length
    return 0


def _byte_characters() -> dict[str, int]:
    """The printable character that byte-level BPE writes for each byte: itself, or one above U+0100."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + n): byte for n, byte in enumerate(others)}


_BYTES = {character: bytes([byte]) for character, byte in _byte_characters().items()}
