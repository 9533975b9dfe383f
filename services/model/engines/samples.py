"""The state of one sample while it is generated."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping

from services.model.engines.base import Delta, Finish, FinishReason, Generation, Token, TopTokens
from services.model.engines.text import Decode, TextStream

_CONTEXT = 4
"""Prompt tokens that the text of the first generated token may depend on."""


class Sample:
    """One of the n samples of a request: its tokens, its text and its statistics."""

    def __init__(self, request: Generation, choice: int, decode: Decode, ends: frozenset[int]) -> None:
        self.request, self.choice = request, choice
        self.last = -1
        self._context = max([one.context for one in request.sampling.avoid], default=0)
        self._recent = list(request.prompt[-self._context :]) if self._context else []
        self._ends = ends
        self._stream = TextStream(decode, request.sampling.stops, request.prompt[-_CONTEXT:])
        self._held: deque[Token] = deque()
        self._sent = 0
        self._logprobs: list[float] = []
        self._means: list[float] = []
        self._routing: defaultdict[int, float] = defaultdict(float)

    @property
    def remaining(self) -> int:
        """How many tokens it may still generate."""
        return self.request.sampling.max_tokens - len(self._logprobs)

    def blocked(self) -> set[int]:
        """The tokens that may not come next."""
        return {token for one in self.request.sampling.avoid for token in one.blocked(self._recent)}

    def push(
        self, token: int, logprob: float, mean: float, top: TopTokens, routing: Mapping[int, float]
    ) -> Delta | None:
        """Add a generated token. Returns what can be sent, if anything; its `finish` says that this was the last."""
        self.last = token
        if self._context:
            self._recent = [*self._recent, token][-self._context :]
        self._logprobs.append(logprob)
        self._means.append(mean)
        for expert, share in routing.items():
            self._routing[expert] += share
        if token in self._ends:
            self._stream.finish()
            return self._release("stop", Token(token, len(self._stream.text), logprob, top))
        self._held.append(Token(token, len(self._stream.text), logprob, top))
        self._stream.push(token)
        if self._stream.stopped:
            return self._release("stop")
        if self.remaining:
            return self._release(None)
        self._stream.finish()
        return self._release("length")

    def _release(self, reason: FinishReason | None, end: Token | None = None) -> Delta | None:
        released = self._stream.released
        # at the end tokens without a text of their own too, but not those that a stop string cut off
        uncut = reason is not None and not self._stream.stopped
        tokens = []
        while self._held and (uncut or self._held[0].start < released):
            tokens.append(self._held.popleft())
        text = self._stream.text[self._sent : released]
        self._sent = released
        if reason:
            return Delta(self.choice, text, tokens, self._finish(reason, end))
        return Delta(self.choice, text, tokens) if text else None

    def _finish(self, reason: FinishReason, end: Token | None) -> Finish:
        count = len(self._logprobs)
        routing = {expert: mass / count for expert, mass in self._routing.items()}
        return Finish(reason, self._logprobs, self._means, routing, end)
