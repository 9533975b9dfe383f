"""What the corpora say comes next: n-gram counts of the token that follows a text, with infinity-gram's back-off."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from shared.contracts.base import OwnerId, Strict, Text


class NgramRequest(Strict):
    """POST /v1/ngram: what follows a text, or token ids. An empty text asks how often each token occurs.

    A text is looked up with a space before it and without, and what stands there at greater length, or more often, is
    taken. With `back_off` the longest end of it that occurs is taken (infinity-gram), else the whole of it. `length`
    keeps no more than so many tokens of its end: the n - 1 of an n-gram model.
    """

    text: Text | None = None
    tokens: list[Annotated[int, Field(ge=0)]] | None = None
    corpora: list[Text] | None = None
    owners: list[OwnerId] | None = None
    back_off: bool = True
    length: Annotated[int, Field(ge=0)] | None = None
    limit: Annotated[int, Field(ge=1, le=1000, description="Tokens listed, most frequent first.")] = 20
    next: Annotated[int, Field(ge=0, description="A token whose probability is wanted, listed or not.")] | None = None


class NextToken(BaseModel):
    """A token that follows: `token` null where a document ends. `text` may be a part of a character (U+FFFD)."""

    token: int | None
    text: str
    count: int
    probability: float


class Ngram(BaseModel):
    """The answer to POST /v1/ngram.

    `context` is how many tokens were looked up, the last of the text's, and `count` how often they occur in all
    corpora searched. `distinct` tokens follow them; `data` lists the most frequent, and `next` is the one asked for.
    """

    tokens: list[int]
    context: int
    count: int
    distinct: int
    data: list[NextToken]
    next: NextToken | None = None
    owners: list[OwnerId]
    corpora: list[str]
