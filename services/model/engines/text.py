"""From tokens to text, as they come: never half a character, never a part of a stop string."""

from __future__ import annotations

from collections.abc import Callable, Sequence

Decode = Callable[[Sequence[int]], str]
"""Token ids to text; bytes that are not UTF-8 (yet) become U+FFFD."""

_UNFINISHED = "\ufffd"


class TextStream:
    """The text of one sequence, released as soon as it is certain.

    `text` is what has been decoded and, once `stopped`, cut before the stop string. `released` counts the code
    points of it that no later token can change.
    """

    def __init__(self, decode: Decode, stops: Sequence[str] = (), context: Sequence[int] = ()) -> None:
        """`context`: the tokens before the first one, on which its text may depend (a leading space)."""
        self._decode, self._stops = decode, tuple(stops)
        self._ids = list(context)
        self._anchor, self._read = 0, len(self._ids)
        self.text = ""
        self.released = 0
        self.stopped = False

    def push(self, token: int) -> None:
        """Add a token. Its text may have to wait for the next one."""
        self._ids.append(token)
        before = self._decode(self._ids[self._anchor : self._read])
        after = self._decode(self._ids[self._anchor :])
        if len(after) > len(before) and not after.endswith(_UNFINISHED):
            self._anchor, self._read = self._read, len(self._ids)
            self._extend(after[len(before) :])

    def finish(self) -> None:
        """No token comes any more: what is left, half characters too, is released."""
        if not self.stopped:
            before = self._decode(self._ids[self._anchor : self._read])
            self._extend(self._decode(self._ids[self._anchor :])[len(before) :])
            self.released = len(self.text)

    def _extend(self, new: str) -> None:
        # a stop string may begin in the old text, by all but its last character
        searched = max(0, len(self.text) - max(map(len, self._stops), default=1) + 1)
        self.text += new
        found = [at for stop in self._stops if (at := self.text.find(stop, searched)) >= 0]
        if found:
            self.text, self.stopped = self.text[: min(found)], True
            self.released = len(self.text)
        else:
            self.released = len(self.text) - self._held()

    def _held(self) -> int:
        """How many code points at the end could be the beginning of a stop string."""
        longest = 0
        for stop in self._stops:
            for length in range(min(len(stop) - 1, len(self.text)), longest, -1):
                if self.text.endswith(stop[:length]):
                    longest = length
                    break
        return longest
