"""Keys and values of recent prompts, so that a prompt that begins like one of them is not computed again."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor

Key = tuple[frozenset[int], tuple[int, ...]]


class PrefixCache:
    """Least recently used prompts, within a bound of bytes; a prompt is only ever found under its own mask.

    That is a rule of consent, not of speed: keys and values computed with an owner's expert carry its data.
    """

    def __init__(self, limit: int, grain: int) -> None:
        """`limit` in bytes. Only whole multiples of `grain` tokens are reused: a prompt computed in pieces of
        `grain` then gives the same bits whether its beginning was known or not."""
        self._limit, self._grain, self._bytes = limit, grain, 0
        self._entries: OrderedDict[Key, Tensor] = OrderedDict()

    def longest(self, allowed: frozenset[int], prompt: tuple[int, ...]) -> Tensor | None:
        """Keys and values, (layers, 2, heads, tokens, dim), of the longest beginning known under this mask.

        It is shorter than the prompt: the last token has yet to be computed for what follows it.
        """
        best: tuple[int, Key] | None = None
        for key in self._entries:
            if key[0] == allowed:
                shared = _shared(key[1], prompt[:-1]) // self._grain * self._grain
                if shared and (best is None or shared > best[0]):
                    best = shared, key
        if best is None:
            return None
        self._entries.move_to_end(best[1])
        return self._entries[best[1]][:, :, :, : best[0]]

    def put(self, allowed: frozenset[int], prompt: tuple[int, ...], values: Tensor) -> None:
        """Remember the whole grains of a prompt; the oldest are forgotten to stay within the bound."""
        whole = len(prompt) // self._grain * self._grain
        key, kept = (allowed, prompt[:whole]), values[:, :, :, :whole]
        if key in self._entries:
            self._entries.move_to_end(key)
        elif whole and kept.nbytes <= self._limit:
            # a copy: a view would keep the rest in memory, which the bound does not count
            self._entries[key] = kept.clone()
            self._bytes += kept.nbytes
        while self._bytes > self._limit:
            self._bytes -= self._entries.popitem(last=False)[1].nbytes

    def forget(self, expert: int) -> None:
        """Forget what was computed under masks that allow an expert."""
        for key in [key for key in self._entries if expert in key[0]]:
            self._bytes -= self._entries.pop(key).nbytes


def _shared(first: tuple[int, ...], second: tuple[int, ...]) -> int:
    """Length of the common beginning."""
    length = min(len(first), len(second))
    if first[:length] == second[:length]:
        return length
    return next(at for at in range(length) if first[at] != second[at])
