"""Where each token stands in the text that they make together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_REPLACEMENT = "\ufffd"


def spelled(pieces: Sequence[bytes]) -> tuple[str, list[tuple[int, int]]]:
    """The text of tokens given as bytes, and for each token the code points (start, end) that its bytes are a part of.

    Tokens that share a character overlap; one without bytes has start = end. A byte that is no UTF-8 is U+FFFD.
    """
    # one surrogate for each bad byte, so that bytes and code points can be counted together
    text = b"".join(pieces).decode("utf-8", "surrogateescape")
    sizes = [len(character.encode("utf-8", "surrogateescape")) for character in text]
    place = [*np.repeat(np.arange(len(text)), sizes).tolist(), len(text)]
    spans, offset = [], 0
    for piece in pieces:
        start = place[offset]
        spans.append((start, place[offset + len(piece) - 1] + 1 if piece else start))
        offset += len(piece)
    return "".join(_REPLACEMENT if "\ud800" <= character <= "\udfff" else character for character in text), spans
